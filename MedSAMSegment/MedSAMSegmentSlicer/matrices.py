"""VTK's 4×4 matrices and numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""And RAS to LPS: the same."""


def to_numpy(matrix: Any) -> npt.NDArray[np.float64]:
    """``vtkMatrix4x4`` to (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def to_vtk(matrix: npt.NDArray[np.float64]) -> Any:
    """(4, 4) to ``vtkMatrix4x4``."""
    import vtk

    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel().tolist())
    return result


def node_to_world(node: Any) -> npt.NDArray[np.float64]:
    """The parent transform of a transformable node, from the node's own RAS to the world's.

    Raises:
        InvalidImageError: it is not linear.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise InvalidImageError(
            f"The transform {transform.GetName()!r} of {node.GetName()!r} is not linear: harden it (module Transforms) "
            "or use a linear one."
        )
    import vtk

    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return to_numpy(matrix)

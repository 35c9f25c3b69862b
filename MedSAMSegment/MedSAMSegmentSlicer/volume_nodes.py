"""Volume nodes and `Volume`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAMSegmentLib.errors import InvalidImageError
from MedSAMSegmentLib.geometry.volume import Volume, VolumeGeometry
from MedSAMSegmentSlicer.matrices import node_to_world, to_numpy, to_vtk


def volume_from_node(node: Any) -> Volume:
    """The voxels of a volume node, not copied, in the world: the parent transform included.

    The voxels are a view of the node's memory, which may be written to while another thread reads them. They cannot be
    freed meanwhile: the view keeps VTK's array, and what resizes an image (``vtkImageData.AllocateScalars``, and with
    it filters and ``slicer.util.updateVolumeFromArray``) gives it a new array as long as somebody else keeps the old
    one. Only ``Resize`` of that very array, called by hand, would pull it away.

    Args:
        node: ``vtkMRMLScalarVolumeNode``, or ``vtkMRMLVectorVolumeNode`` with red, green and blue.

    Raises:
        InvalidImageError: it has no voxels, another number of components, or a parent transform that is not linear.
    """
    geometry = geometry_from_node(node)
    return Volume(_voxels(node), geometry)


def geometry_from_node(node: Any) -> VolumeGeometry:
    """The grid of a volume node in the world; errors as `volume_from_node`."""
    import vtk

    image = node.GetImageData()
    if image is None or 0 in image.GetDimensions():
        raise InvalidImageError(f"The volume {node.GetName()!r} has no voxels. Choose another one.")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    i, j, k = image.GetDimensions()
    return VolumeGeometry((k, j, i), node_to_world(node) @ to_numpy(matrix))


def add_volume_node(scene: Any, volume: Volume, name: str) -> Any:
    """Put a volume into a scene.

    Args:
        scene: ``vtkMRMLScene``.
        volume: copied.
        name: of the node.

    Returns:
        ``vtkMRMLScalarVolumeNode``, or ``vtkMRMLVectorVolumeNode`` for RGB.
    """
    import vtk
    from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk

    voxels = np.ascontiguousarray(volume.voxels_kji)
    depth, height, width = volume.geometry.shape_kji
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, depth)
    flat = voxels.reshape(-1, 3) if volume.is_rgb else voxels.reshape(-1)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True, array_type=get_vtk_array_type(voxels.dtype)))
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode" if volume.is_rgb else "vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(to_vtk(volume.geometry.ijk_to_ras))
    node.SetAndObserveImageData(image)
    return node


def _voxels(node: Any) -> npt.NDArray:
    from vtk.util.numpy_support import vtk_to_numpy

    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars()
    components = scalars.GetNumberOfComponents()
    shape_kji = image.GetDimensions()[::-1]
    voxels = vtk_to_numpy(scalars)
    if components == 1:
        return voxels.reshape(shape_kji)
    if components == 3 and voxels.dtype == np.uint8:
        return voxels.reshape(*shape_kji, 3)
    raise InvalidImageError(
        f"The volume {node.GetName()!r} has {components} values in each voxel. Choose one with a single value, or with "
        "red, green and blue of 8 bits."
    )

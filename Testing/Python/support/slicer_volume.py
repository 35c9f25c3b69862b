"""What 3D Slicer itself reads from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt


def slicer_reads(*paths: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray]:
    """(4, 4) IJK → RAS and voxels (K, J, I) of Slicer's storage node, for one file or the sorted slices of a series."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    scene = slicer.vtkMRMLScene()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetCenterImage(False)
    storage.SetFileName(str(paths[0]))
    storage.SetSingleFile(len(paths) == 1)
    for path in paths if len(paths) > 1 else ():
        storage.AddFileName(str(path))
    read = slicer.vtkMRMLScalarVolumeNode()
    scene.AddNode(read)
    scene.AddNode(storage)
    assert storage.ReadData(read)
    matrix = vtk.vtkMatrix4x4()
    read.GetIJKToRASMatrix(matrix)
    image = read.GetImageData()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).copy()
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)]), voxels

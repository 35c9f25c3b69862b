"""Lines drawn over a slice view that stay in the patient while the view moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import vtk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class LineOverlay:
    """Straight lines in one slice view.

    Args:
        scripted_effect: adds the actor to the view.
        view_widget: ``qMRMLSliceWidget``.
        color: red, green and blue, 0 to 1.
        width: display pixels.
    """

    def __init__(self, scripted_effect: Any, view_widget: Any, color: tuple[float, float, float], width: float) -> None:
        self._effect = scripted_effect
        self._view_widget = view_widget
        self._segments_ras: npt.NDArray[np.float64] | None = None
        self._poly_data = vtk.vtkPolyData()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._poly_data)
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(mapper)
        self.actor.GetProperty().SetColor(*color)
        self.actor.GetProperty().SetLineWidth(width)
        self.actor.VisibilityOff()
        scripted_effect.addActor2D(view_widget, self.actor)

    def show(self, segments_ras: npt.NDArray[np.float64]) -> None:
        """Draw lines, (n, 2, 3) RAS mm, on the slice that the view shows."""
        self._segments_ras = segments_ras
        self.update()

    def hide(self) -> None:
        """Draw nothing."""
        self._segments_ras = None
        self.actor.VisibilityOff()
        self._render()

    def update(self) -> None:
        """Follow the view. Lines that do not lie on its slice are not drawn."""
        if self._segments_ras is None:
            return
        import numpy as np
        from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

        from MedSAMSegmentSlicer.slice_view_plane import display_points_of, distance_from_view

        slice_node = self._view_widget.mrmlSliceNode()
        points_ras = self._segments_ras.reshape(-1, 3)
        on_slice = len(points_ras) > 0 and all(
            distance_from_view(slice_node, point) <= _ON_SLICE_MM for point in (points_ras[0], points_ras[-1])
        )
        if on_slice:
            display = display_points_of(slice_node, points_ras)
            display[:, 2] = 0.0
            points = vtk.vtkPoints()
            points.SetData(numpy_to_vtk(np.ascontiguousarray(display), deep=True))
            lines = vtk.vtkCellArray()
            offsets = numpy_to_vtkIdTypeArray(np.arange(0, len(display) + 1, 2, dtype=np.int64), deep=True)
            lines.SetData(offsets, numpy_to_vtkIdTypeArray(np.arange(len(display), dtype=np.int64), deep=True))
            self._poly_data.SetPoints(points)
            self._poly_data.SetLines(lines)
            self._poly_data.Modified()
        self.actor.SetVisibility(on_slice)
        self._render()

    def remove(self) -> None:
        """Take the actor out of the view."""
        self._effect.removeActor2D(self._view_widget, self.actor)
        self._render()

    def _render(self) -> None:
        view = self._view_widget.sliceView()
        if view is not None:
            view.scheduleRender()


_ON_SLICE_MM = 1.0
"""Lines this close to the slice are on it: a view between two layers shows the nearer one."""

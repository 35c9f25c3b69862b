"""The effect as Slicer's Segment Editor sees it. What it does is in MedSAMSegmentWidgets.effect_controller.

Slicer runs this file by its path, under the name of its folder: absolute imports only, and nothing heavy before use.
"""

from pathlib import Path

import qt
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """Segments what is in a box with MedSAM."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = "MedSAM"  # no tr (modules find effects by name)
        scriptedEffect.title = _("MedSAM")
        scriptedEffect.perSegment = True
        scriptedEffect.requireSegments = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.panel = None
        self.start = None
        self.work = None
        self.controller = None

    def clone(self):
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        clonedEffect = effects.qSlicerSegmentEditorScriptedEffect(None)
        clonedEffect.setPythonSource(Path(__file__).as_posix())
        return clonedEffect

    def icon(self):
        return qt.QIcon(Path(__file__).with_suffix(".png").as_posix())

    def helpText(self):
        from MedSAMSegmentWidgets.effect_help import help_text

        return help_text()

    def setupOptionsFrame(self):
        from MedSAMSegmentWidgets.effect_panel import EffectPanel

        self.panel = EffectPanel(self.scriptedEffect, self.updateMRMLFromGUI)
        self.panel.on(self.panel.apply, "clicked()", self.onApply)
        self.panel.on(self.panel.revert, "clicked()", self.onRevert)
        self.panel.on(self.panel.cancel, "clicked()", self.onCancel)
        self.panel.new_roi.chosen = self.onNewRoi
        self.panel.on(self.panel.segment.roi_around, "clicked()", self.onRoiAroundSegment)
        self.panel.on(self.panel.segment.grow, "clicked()", self.onGrow)
        self.panel.on(self.panel.set_up_button, "clicked()", self.onSetUp)
        self.panel.on(self.panel.roi, "currentNodeChanged(vtkMRMLNode*)", self.onRoiChanged)
        self.panel.on(self.panel.more_rois, "checkedNodesChanged()", self.onCheckedRoisChanged)

    def setMRMLDefaults(self):
        from MedSAMSegmentWidgets.effect_parameters import set_defaults

        set_defaults(self.scriptedEffect)

    def updateGUIFromMRML(self):
        from MedSAMSegmentWidgets.effect_parameters import show_parameters

        if self.panel is not None:
            show_parameters(self.scriptedEffect, self.panel)
            if self.controller is not None:
                self.controller.nodes_changed()

    def updateMRMLFromGUI(self):
        from MedSAMSegmentWidgets.effect_parameters import store_parameters

        if self.panel is not None:
            store_parameters(self.scriptedEffect, self.panel)

    def activate(self):
        from MedSAMSegmentWidgets.late_start import LateStart

        if self.controller is None:
            self.start = LateStart(self.onReady)

    def onReady(self):
        from MedSAMSegmentWidgets.effect_controller import EffectController
        from MedSAMSegmentWidgets.effect_work import EffectWork

        if self.controller is None and self.scriptedEffect.active():
            if self.work is not None and not self.work.is_usable:
                self.work.close()
                self.work = None
            if self.work is None:
                self.work = EffectWork(self.scriptedEffect, self.panel)
            self.controller = EffectController(self.scriptedEffect, self.panel, self.work)

    def started(self):
        """The controller. If the user is quicker than what it needs is imported, that is waited for."""
        if self.controller is None and self.start is not None:
            self.start.finish()
        return self.controller

    def deactivate(self):
        start, self.start = self.start, None
        if start is not None:
            start.cancel()
        controller, self.controller = self.controller, None
        if controller is not None:
            controller.close()

    def cleanup(self):
        from MedSAMSegmentWidgets.drawn_box_node import drop_drawn_box

        self.deactivate()
        drop_drawn_box(self.scriptedEffect)
        work, self.work = self.work, None
        if work is not None:
            work.close()
        panel, self.panel = self.panel, None
        if panel is not None:
            panel.close()

    def createCursor(self, _viewWidget):
        return qt.QCursor(qt.Qt.CrossCursor)

    def processInteractionEvents(self, callerInteractor, eventId, viewWidget):
        import vtk

        controller = self.started() if eventId == vtk.vtkCommand.LeftButtonPressEvent else self.controller
        return controller is not None and bool(controller.process_interaction(callerInteractor, eventId, viewWidget))

    def processViewNodeEvents(self, callerViewNode, _eventId, _viewWidget):
        if self.controller is not None:
            self.controller.view_changed(callerViewNode)

    def sourceVolumeNodeChanged(self):
        if self.controller is not None:
            self.controller.nodes_changed()

    def interactionNodeModified(self, interactionNode):
        from MedSAMSegmentWidgets.roi_placement import is_placing_roi

        if interactionNode is None:
            return
        if self.controller is not None:
            self.controller.mouse_mode_changed(interactionNode)
        if is_placing_roi(interactionNode):
            return
        if interactionNode.GetCurrentInteractionMode() != interactionNode.ViewTransform:
            self.scriptedEffect.selectEffect("")

    def onApply(self):
        if self.started() is not None:
            self.controller.apply()

    def onRevert(self):
        if self.controller is not None:
            self.controller.revert()

    def onCancel(self):
        if self.controller is not None:
            self.controller.cancel()

    def onNewRoi(self, className):
        if self.started() is not None:
            self.controller.new_roi(className)

    def onRoiAroundSegment(self):
        if self.started() is not None:
            self.controller.roi_around_segment()

    def onGrow(self):
        if self.started() is not None:
            self.controller.grow()

    def onSetUp(self):
        from slicer.util import selectModule

        selectModule("MedSAMSegment")

    def onRoiChanged(self, node):
        if self.scriptedEffect.parameterSetNode() is not None and self.scriptedEffect.active():
            self.scriptedEffect.setNodeReference("ROI", node)

    def onCheckedRoisChanged(self):
        from MedSAMSegmentWidgets.effect_parameters import store_checked_rois

        if self.panel is not None and self.scriptedEffect.active():
            store_checked_rois(self.scriptedEffect, self.panel)

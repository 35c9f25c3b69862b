"""The extension's module as Slicer's module factory sees it. What it does is in the packages beside this file.

Loaded when Slicer starts: nothing heavy is imported before it is used.
"""

import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

PACKAGES = ("MedSAMSegmentLib", "MedSAMSegmentSlicer", "MedSAMSegmentWidgets")


class MedSAMSegment(ScriptedLoadableModule):
    """Title, help, and the registration of the Segment Editor effect."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedSAM Segment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Markups"]
        self.parent.contributors = ["MedSAMSegment contributors"]
        self.parent.helpText = _(
            "Segments what is in a box or an ROI with SAM and MedSAM, and adds the effect <b>MedSAM</b> to the Segment "
            "Editor. Not a medical device: check every result. See the "
            "<a href='https://github.com/MedSAMSegment/SlicerMedSAMSegment#readme'>documentation</a>."
        )
        self.parent.acknowledgementText = _(
            "Please cite Kirillov et al., Segment Anything, ICCV 2023, and Ma et al., Segment anything in medical "
            "images, Nature Communications 15, 654 (2024)."
        )
        slicer.app.connect("startupCompleted()", registerEffect)
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("aboutToQuit()", closeEngine)


def registerEffect():
    """Make the effect known to the Segment Editor."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    scriptedEffect = effects.qSlicerSegmentEditorScriptedEffect(None)
    path = Path(__file__).resolve().parent / "SegmentEditorMedSAMLib" / "SegmentEditorEffect.py"
    scriptedEffect.setPythonSource(path.as_posix())
    scriptedEffect.self().register()


def registerSampleData():
    """Make the sample known to the module Sample Data."""
    from MedSAMSegmentWidgets.sample import register

    register()


def closeEngine():
    """End the inference thread, if it was ever started."""
    engine = sys.modules.get("MedSAMSegmentSlicer.inference_engine")
    if engine is not None:
        engine.close_shared_engine()


class MedSAMSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Holds the module's panel, which is in MedSAMSegmentWidgets.module_panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self.isShown = False

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from MedSAMSegmentWidgets.module_panel import ModulePanel

        self.logic = MedSAMSegmentLogic()
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedSAMSegment.ui"))
        self.layout.addWidget(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self.panel = ModulePanel(self.ui)
        self.isShown = True
        scene = slicer.mrmlScene
        # Before the widgets notice that nodes go, which they would take for the user's choice, and after they have
        # noticed that nodes came.
        self.addObserver(scene, scene.StartBatchProcessEvent, self.onSceneStartBatch, priority=100.0)
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose, priority=100.0)
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onSceneEndBatch, priority=-100.0)
        self.panel.set_parameter_node(self.logic.getParameterNode())

    def cleanup(self):
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()

    def enter(self):
        self.isShown = True
        self.panel.set_parameter_node(self.logic.getParameterNode())
        self.panel.refresh()

    def exit(self):
        self.isShown = False
        self.panel.set_parameter_node(None)

    def onSceneStartClose(self, _caller, _event):
        self.panel.scene_closes()

    def onSceneStartBatch(self, _caller, _event):
        self.panel.set_parameter_node(None)

    def onSceneEndBatch(self, _caller, _event):
        if self.isShown and not slicer.mrmlScene.IsBatchProcessing():
            self.panel.set_parameter_node(self.logic.getParameterNode())

    def onReload(self):
        """Reload the packages as well: Slicer itself executes this file only."""
        editor = getattr(slicer.modules, "SegmentEditorWidget", None)
        if editor is not None:
            editor.editor.setActiveEffect(None)
        closeEngine()
        if self.panel is not None:
            self.panel.close()
            self.panel = None
        for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class MedSAMSegmentLogic(ScriptedLoadableModuleLogic):
    """What the module does, for scripts: see MedSAMSegmentSlicer.roi_job."""

    def getParameterNode(self):
        from MedSAMSegmentWidgets.module_parameters import ModuleParameters

        return ModuleParameters(super().getParameterNode())

    def segment(self, volumeNode, roiNodes, segmentationNode=None, **options):
        """Segment ROIs and wait for it; the segmentation node. Options are those of `RoiJob`."""
        from MedSAMSegmentSlicer.roi_job import RoiJob, run_roi_job

        job = RoiJob(volumeNode, tuple(roiNodes), segmentationNode, **options)
        return run_roi_job(slicer.mrmlScene, job).segmentation


class MedSAMSegmentTest(ScriptedLoadableModuleTest):
    """Self test: `slicer.selfTests['MedSAMSegment']()`. No weights and no network are needed."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        from MedSAMSegmentWidgets.self_test import SelfTest

        self.setUp()
        for test in SelfTest(self.delayDisplay).tests():
            test()

"""The sample that a new user tries the extension with: a chest CT, and an ROI around a lung."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MedSAMSegmentSlicer.roi_selection import ROI_CLASS

SAMPLE = "MedSAMChestCT"
_NODE_NAME = "Chest CT"
_SHA256 = "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"
_URL = f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{_SHA256}"

_LUNG_CENTER_RAS = (-73.0, -21.0, -160.0)
_LUNG_SIZE_MM = (160.0, 192.0, 60.0)
"""The middle of the left lung; slicerio's version of the sample shows it in the same place, with fewer voxels."""


def register() -> None:
    """Offer the sample in the module Sample Data. The data are Slicer's own chest CT, with its checksum."""
    import SampleData

    icon = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "MedSAMSegment.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="MedSAM Segment",
        sampleName=SAMPLE,
        thumbnailFileName=str(icon),
        uris=_URL,
        fileNames="CT-chest.nrrd",
        nodeNames=_NODE_NAME,
        checksums=f"SHA256:{_SHA256}",
    )


def load_sample() -> tuple[Any, Any]:
    """The sample's volume node and a new ROI around a lung; from the internet, or from an installed slicerio.

    Raises:
        RuntimeError: neither is there.
    """
    volume = _from_slicerio() or _from_the_internet()
    roi = slicer.mrmlScene.AddNewNodeByClass(ROI_CLASS, _("Left lung"))
    roi.CreateDefaultDisplayNodes()
    roi.SetCenter(list(_LUNG_CENTER_RAS))
    roi.SetSize(list(_LUNG_SIZE_MM))
    roi.GetDisplayNode().SetFillVisibility(False)
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    slicer.modules.markups.logic().JumpSlicesToLocation(*_LUNG_CENTER_RAS, False)
    return volume, roi


def _from_the_internet() -> Any:
    import SampleData

    try:
        volume = SampleData.downloadSample(SAMPLE)
    except Exception as error:
        # Whatever the network did: the user needs one sentence, and the log the details.
        logging.getLogger(__name__).warning("Sample data", exc_info=error)
        volume = None
    if volume is None:
        raise RuntimeError(
            _(
                "The sample cannot be downloaded. Check the network; or install the Python package slicerio, which "
                "brings one; or load an image of your own."
            )
        )
    return volume


def _from_slicerio() -> Any:
    spec = importlib.util.find_spec("slicerio")
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(folders))) / "data" / "CTChest4.nrrd" if folders else None
    if path is None or not path.is_file():
        return None
    return slicer.util.loadVolume(str(path), {"name": _NODE_NAME})

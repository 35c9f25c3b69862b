"""What the slicer-core wheel lacks of the desktop, as thin as the GUI tests allow: Qt over PySide6, the rest over MRML.

`install` puts it where the extension looks for it. Inside a real Slicer nothing of this is used.
"""

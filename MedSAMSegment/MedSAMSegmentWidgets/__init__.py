"""What the user sees: the effect's and the module's widgets. The only package, beside the two Slicer files, with Qt."""

"""Data of any kind as `Data`: arrays, torch data sets, folders of images, tables."""

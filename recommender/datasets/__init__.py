"""Data sets of any format, read safely. See docs/architecture.md for the seams."""

from recommender.datasets.disk import Disk
from recommender.datasets.duplicates import image_hash, near_duplicates
from recommender.datasets.export import class_folder, export_yolo, write_data_yaml
from recommender.datasets.images import ImageError, read_image
from recommender.datasets.inspection import inspect_dataset
from recommender.datasets.limits import DatasetLimits
from recommender.datasets.opening import open_dataset

__all__ = [
    "DatasetLimits",
    "Disk",
    "ImageError",
    "class_folder",
    "export_yolo",
    "image_hash",
    "inspect_dataset",
    "near_duplicates",
    "open_dataset",
    "read_image",
    "write_data_yaml",
]

"""Limits on the size of a data set. One literal table; tests and the service may tighten it."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class DatasetLimits:
    """Each bound is far above honest data sets and far below what hurts the machine."""

    num_files: int = 2_000_000  # in the folder, labels included
    folder_depth: int = 24

    image_pixels: int = 64_000_000  # 8000 × 8000; one decoded image is then 192 MB
    image_bytes: int = 256 * MIB
    min_image_side: int = 10  # pixels; ultralytics refuses smaller ones

    yaml_bytes: int = 1 * MIB
    yaml_depth: int = 16
    list_file_bytes: int = 256 * MIB
    json_bytes: int = 600 * MIB  # COCO's train file is 450 MB
    json_memory_bytes: int = 3 * 1024 * MIB  # of the parsed values; COCO's train file takes about 2.5 GB
    xml_bytes: int = 4 * MIB
    label_file_bytes: int = 8 * MIB
    label_rows: int = 20_000  # of one image
    num_classes: int = 20_000

    archive_entries: int = 500_000
    archive_bytes: int = 256 * 1024 * MIB  # unpacked
    archive_ratio: float = 100.0  # unpacked ÷ packed, once unpacked is above the next line
    archive_ratio_from_bytes: int = 64 * MIB
    archive_header_bytes: int = 128 * MIB  # a zip's directory, or one header of a tar

    unusable_share: float = 0.2  # of label rows, or of images: above it the whole set is refused,
    unusable_few: int = 3  # unless they are so few, and not most of them


LIMITS = DatasetLimits()

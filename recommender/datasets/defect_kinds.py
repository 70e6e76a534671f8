"""Every kind of fault a data set may have: how grave it is, what it is called, and its remedy.

An `error` costs data: the row or the image is left out. A `warning` is worth a look: a doubtful reading was
decided, or a score will mislead. `info` is only told by `recommend datasets inspect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Severity = Literal["info", "warning", "error"]


class Kind(NamedTuple):
    """One row of the table."""

    severity: Severity
    title: str  # singular, for "12 × title"
    remedy: str


IMAGE_REMEDY = "Replace or remove these files."
KINDS: Mapping[str, Kind] = {
    # rows of labels
    "label_not_number": Kind(
        "error",
        "label row that is no list of numbers",
        "Rows read `class x y w h`, numbers apart from spaces; remove or fix these.",
    ),
    "label_not_finite": Kind(
        "error",
        "label with NaN or infinity",
        "NaN and infinity are no coordinates; fix the tool that wrote them.",
    ),
    "label_columns": Kind(
        "error",
        "label row with a wrong number of columns",
        "A row has 5 columns, or 1 + 2n with n ≥ 3 for a polygon; drop extra columns.",
    ),
    "label_class_fraction": Kind(
        "error", "class id that is no integer", "Class ids are whole numbers from 0."
    ),
    "label_class_negative": Kind(
        "error", "negative class id", "Class ids count from 0; remove rows of class −1."
    ),
    "label_class_unknown": Kind(
        "error", "label of an unknown class", "The id has no name; complete `names` or fix the rows."
    ),
    "label_negative": Kind(
        "error",
        "label with a negative coordinate or size",
        "Coordinates and sizes cannot be negative; export the labels again.",
    ),
    "label_out_of_range": Kind(
        "error",
        "label outside the image",
        "Coordinates are fractions of the image, within 0 … 1; export again.",
    ),
    "label_in_pixels": Kind(
        "error",
        "label in pixels instead of fractions",
        "Divide x and w by the image's width, y and h by its height.",
    ),
    "label_zero_area": Kind("error", "box without area", "Remove boxes without area."),
    "label_clipped": Kind(
        "warning",
        "box or outline beyond the image's edge",
        "Boxes or outlines reached beyond the image and were cut at its edge.",
    ),
    "label_corners_swapped": Kind(
        "warning", "box with swapped corners", "Minimum and maximum were swapped; they were put in order."
    ),
    "label_duplicate": Kind(
        "warning", "box that comes twice", "The same box of the same class twice; it counts once."
    ),
    "label_crowd": Kind("info", "crowd region", "Crowd regions are no single objects and are left out."),
    "label_crowd_used": Kind(
        "warning",
        "crowd mask taken as an object",
        "Brush masks are exported as crowds; each was taken as one object. Set `iscrowd` to 0.",
    ),
    "label_bbox_wrong": Kind(
        "warning",
        "bbox that is not the extent of its outline",
        "The extent of the outline was used; export the boxes again.",
    ),
    "label_outline_wrong": Kind(
        "warning",
        "outline that does not fit its bbox",
        "The bbox was used; export the outlines again.",
    ),
    "label_outline": Kind(
        "info",
        "outline taken as a box",
        "The labels are polygons or masks, and only the boxes around them are used; "
        "--task segment reads the outlines.",
    ),
    "label_no_outline": Kind(
        "warning",
        "object with a box and no outline",
        "The box was taken for its outline; draw it, or read the set with --task detect.",
    ),
    "label_no_area": Kind(
        "error",
        "outline that encloses nothing",
        "Outlines need three points that are not on one line, within the image; remove or draw them again.",
    ),
    "mask_pieces": Kind(
        "warning",
        "mask of a class in several pieces",
        "Each connected piece counts as an object: objects that touch are one, and one behind another is two.",
    ),
    "mask_empty": Kind("info", "empty mask", "The mask shows nothing; remove it."),
    "mask_soft": Kind(
        "info",
        "mask with softened edges",
        "Values between two that mean something went to the nearest; export masks as PNG and scale them by the "
        "nearest pixel.",
    ),
    "mask_value_unknown": Kind(
        "warning",
        "value of a mask that the legend does not name",
        "Its pixels count as background; complete the legend.",
    ),
    "class_nested": Kind(
        "warning",
        "image in a folder within its class's folder",
        "The uppermost folder counts as the class; move the images up, or make the folders classes.",
    ),
    "class_folder_missing": Kind(
        "warning",
        "split without folders of all classes",
        "Classes are matched by name over the splits; add what is missing, or call the folders alike.",
    ),
    "splits_unused": Kind(
        "warning",
        "table of splits that was not used",
        "It does not name each image of the class folders once; name them all, or divide the folders themselves.",
    ),
    "image_unclassified": Kind(
        "warning",
        "image without a class",
        "They lie in no class's folder, or no row names their class, and were left out.",
    ),
    "image_tagged": Kind(
        "warning",
        "image with a tag and no object",
        "Others have objects, so it is background; if the tag says what is to be seen, draw it or remove the image.",
    ),
    "form_beside": Kind(
        "info",
        "file of annotations that was not read",
        "Its form is not read; the folders of classes or masks beside it were.",
    ),
    "task_segment": Kind(
        "info",
        "data set read for instance segmentation",
        "Its objects have outlines; --task detect reads the boxes around them.",
    ),
    "task_detect": Kind(
        "info",
        "data set read for object detection",
        "Masks lie beside its boxes; --task segment reads them.",
    ),
    "outline_rectangle": Kind(
        "info",
        "outline that is an upright rectangle",
        "None says more than a box, so the set is read for object detection; export polygons or masks for instance "
        "segmentation.",
    ),
    "names_by_boxes": Kind(
        "info",
        "value of a mask named by the boxes of the XML files",
        "No legend lies beside the masks; a labelmap.txt of lines `name r g b` would say it for sure.",
    ),
    "image_without_mask": Kind(
        "warning",
        "image without a mask",
        "They were left out; a mask that shows nothing says that an image is background.",
    ),
    "label_no_box": Kind(
        "error", "object without a box", "The object has neither box nor outline; remove it."
    ),
    "label_dangling_image": Kind(
        "error",
        "annotation of an image that is not listed",
        "The annotation names an image that is not listed; remove it.",
    ),
    "label_duplicate_id": Kind(
        "warning", "annotation id used twice", "Annotation ids should be unique; the rows were kept."
    ),
    "label_missing_id": Kind("info", "annotation without an id", "Annotations without an id were kept."),
    # label files
    "label_not_utf8": Kind("error", "label file that is not UTF-8", "Save the label files as UTF-8."),
    "label_unreadable": Kind("error", "unreadable label file", "Fix or remove these label files."),
    "label_too_large": Kind(
        "error", "label file that is too large", "Split the file or remove it; honest label files are small."
    ),
    "label_without_image": Kind(
        "warning",
        "label file without an image",
        "Call them as their images are called, or add the images.",
    ),
    "image_without_label": Kind(
        "info",
        "image without a label file",
        "They count as background; add an empty label file to say so.",
    ),
    # images
    "image_missing": Kind(
        "error",
        "listed image that is not there",
        "Put the images where the annotations say, or remove their entries.",
    ),
    "image_empty": Kind("error", "empty image file", "The file has no bytes. " + IMAGE_REMEDY),
    "image_unreadable": Kind(
        "error", "unreadable image", "No image format that is known here. " + IMAGE_REMEDY
    ),
    "image_moved": Kind(
        "error",
        "image whose folder was replaced by a link",
        "The data set changed while it was read; leave it alone and ask again.",
    ),
    "image_heic": Kind(
        "error",
        "HEIC photo, which is not read",
        "Convert to JPEG (on iPhones: Settings, Camera, Formats, Most Compatible), labels may stay.",
    ),
    "image_truncated": Kind("error", "damaged image", "The file ends early. " + IMAGE_REMEDY),
    "image_too_large": Kind("error", "image that is too large", "Scale these images down."),
    "image_too_small": Kind(
        "error", "image that is too small", "At least 10 pixels a side are needed. " + IMAGE_REMEDY
    ),
    "image_unlabelled": Kind(
        "error", "image without a usable label", "None of their label rows is usable; fix the labels."
    ),
    "image_wrong_extension": Kind(
        "warning",
        "image with a wrong file extension",
        "The content decides; rename the files to match it.",
    ),
    "image_size_differs": Kind(
        "warning",
        "image of another size than annotated",
        "The annotations give another size; boxes were scaled to the real one.",
    ),
    "image_size_wrong": Kind(
        "warning",
        "image whose annotated size is wrong",
        "The boxes fit the real image and were read in its pixels; correct the annotated sizes.",
    ),
    "image_listed_twice": Kind(
        "warning", "image listed twice", "The image is listed twice; its boxes were joined."
    ),
    "split_by_word": Kind(
        "warning",
        "folder taken for a split by a word of its name",
        "If it is none, rename it, or list the splits in a data.yaml.",
    ),
    "image_unlisted": Kind(
        "warning",
        "labelled image in no list of a split",
        "No list of a split names them, so they were left out; add them to one.",
    ),
    "image_label_doubtful": Kind(
        "error",
        "image that may belong to a label file of another name",
        "There are label files without an image, too; call images and labels alike.",
    ),
    "image_doubtful": Kind(
        "error",
        "annotation that may mean either of two images",
        "The file's own name and the name within it are those of different images; export again.",
    ),
    "image_found_elsewhere": Kind(
        "info",
        "list line with a path of another machine",
        "The one image whose path ends so was taken.",
    ),
    "image_in_two_splits": Kind(
        "error", "image in two splits", "An image in train must not be in val; it stayed in train."
    ),
    "image_missing_id": Kind("error", "image entry without an id", "Every image entry needs an id."),
    "image_without_name": Kind("error", "image entry without `file_name`", "Write the name of the file."),
    "image_duplicate_id": Kind(
        "error", "image id used twice", "Image ids must be unique; the first one stayed."
    ),
    # the description
    "names_missing": Kind(
        "warning",
        "data set without class names",
        "Name the classes in a data.yaml or classes.txt; ids stand for names now.",
    ),
    "names_incomplete": Kind(
        "warning", "class without a name", "Complete `names`; ids stand for the missing ones."
    ),
    "names_duplicate": Kind("warning", "class name used twice", "Give each class a name of its own."),
    "names_alike": Kind(
        "warning",
        "pair of class names that differ by case or blanks alone",
        "Give one class one name, else they compete for the same objects.",
    ),
    "names_contradict": Kind(
        "warning",
        "names file that contradicts the data.yaml",
        "The data.yaml was believed; delete the file that is wrong.",
    ),
    "names_odd": Kind("warning", "odd class name", "Names hold control characters; they are shown escaped."),
    "names_differ": Kind(
        "warning",
        "difference in class names between splits",
        "Splits name different classes; they were matched by name.",
    ),
    "nc_mismatch": Kind(
        "warning",
        "contradiction between `nc` and `names`",
        "`nc` should equal the number of `names`; the names were believed.",
    ),
    "category_unused": Kind(
        "info",
        "category without boxes",
        "Roboflow's supercategory has no boxes; it is left out of the classes.",
    ),
    "category_broken": Kind(
        "error", "broken category", "Every category needs a whole-number id of its own and a name."
    ),
    "yaml_key_twice": Kind(
        "warning",
        "key that comes twice in the data.yaml",
        "Only the last one counts; write one key with a list of values.",
    ),
    "channels_not_three": Kind(
        "warning",
        "image or data.yaml with other than three channels",
        "Only three channels of the first page are used, as RGB.",
    ),
    "yaml_path_ignored": Kind(
        "info",
        "path of another machine",
        "`path:` names this folder as it was elsewhere; the folder itself was used.",
    ),
    "download_ignored": Kind(
        "info",
        "`download:` line",
        "`download:` is never run here; the images were already there.",
    ),
    "planted_cache": Kind(
        "warning",
        "label cache or array file",
        "Label caches and arrays are never loaded: they can run code. Delete them.",
    ),
    "split_missing": Kind(
        "info", "missing test split", "The test split named is not there; nothing here needs it."
    ),
    "val_is_train": Kind(
        "warning",
        "val split that lists the images of train",
        "val lists the images of train; a seeded split took its place.",
    ),
    # what needs all images at once
    "exact_duplicate": Kind(
        "warning", "exact copy within a split", "Remove the copies, they only weigh more."
    ),
    "near_duplicate": Kind(
        "info", "near duplicate within a split", "Nearly the same picture twice in a split; thin them out."
    ),
    "exact_duplicate_leak": Kind(
        "error",
        "exact copy across splits",
        "The val score is too good: keep copies on one side of the split.",
    ),
    "near_duplicate_leak": Kind(
        "warning",
        "near duplicate across splits",
        "The val score is too good: split by scene, not by image.",
    ),
    "box_tiny": Kind(
        "info",
        "object below 4 pixels",
        "Objects below 4 pixels are hardly learnable; train at a larger image size.",
    ),
    "class_empty": Kind(
        "warning", "class without an object", "Nothing is labelled as this class; remove it or label some."
    ),
    "picture_in_two_classes": Kind(
        "error",
        "picture in two classes",
        "The same file lies in two classes: one of them is wrong; keep it in the right one.",
    ),
    "likeness_in_two_classes": Kind(
        "info",
        "near duplicate in two classes",
        "Nearly the same picture lies in two classes; look whether one of them is wrong.",
    ),
    "outline_crossing": Kind(
        "info",  # COCO's objects of several parts, joined for YOLO, cross themselves often
        "outline that crosses itself",
        "Where sides cross, parts count as outside; draw the outline again, or as two.",
    ),
    "class_missing_in_val": Kind(
        "warning",
        "class missing in val",
        "The class is labelled in train and not in val: its score is unknown.",
    ),
    "class_missing_in_train": Kind(
        "error",
        "class missing in train",
        "The class is labelled in val and not in train: it cannot be learnt.",
    ),
}

"""Tables of images: CSV, TSV, lines of JSON and lists, with a class for each image or with boxes.

In this order: `files.py` finds and reads them, `text.py` cuts a text into cells, `rows.py` and `objects.py` make these
headings and rows. What each column holds is told from its heading and its cells: image, split and size (`columns.py`,
`splits.py`), boxes (`box_columns.py`) and the class (`classes.py`). `labels.py` makes a set of classes of whole images
(`image_classes.py`), `boxes.py` one of boxes, whose numbers `box_readings.py` explains. What is doubtful is refused or
told.
"""

"""Datasets of videos with their sound and transcripts: the rows of both checks, joined."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets


def join_sources(videos: "datasets.Dataset", sound: "datasets.Dataset") -> "datasets.Dataset":
    """Join the rows of two tables that have the same value in the column row; nothing is copied if these are all rows.

    Args:
        videos: The columns row, source (the file of a video) and others, which are kept.
        sound: The columns row and source (packed features).

    Returns:
        The rows of ``videos`` that are in ``sound`` as well; their source has the fields video and sound.
    """
    import datasets
    import pyarrow

    place_of = {row: place for place, row in enumerate(sound["row"])}
    shared = [place for place, row in enumerate(videos["row"]) if row in place_of]
    if len(shared) < len(videos):
        videos = videos.select(shared)
    sound = sound.select([place_of[row] for row in videos["row"]])
    columns: Any = videos.with_format("arrow")[:]
    parts = pyarrow.table({"video": columns["source"], "sound": sound.with_format("arrow")[:]["source"]})
    chunks = [pyarrow.StructArray.from_arrays(batch.columns, batch.schema.names) for batch in parts.to_batches()]
    return datasets.Dataset(
        columns.drop_columns(["source", "row"]).append_column("source", pyarrow.chunked_array(chunks))
    )

from cassle.core.files import canonical_json
from cassle.contracts.layout import index_file, split_file


def get_dataset(wildcards):
    """The name of the dataset of an index."""
    return PLAN.stream_of_index(wildcards.dataset).dataset


def get_datasettings(wildcards):
    """The settings of a dataset that determine its index, as one text."""
    return canonical_json(PLAN.stream_of_index(wildcards.dataset).index_data)


def get_index(wildcards):
    """The index of a stream's dataset."""
    return index_file(PLAN.stream(wildcards.stream).index)


def get_split(wildcards):
    """The split of the stream that is trained on."""
    return split_file(wildcards.stream)


def get_stream_spec(wildcards):
    """Everything that determines a split, as one text."""
    return canonical_json(PLAN.stream(wildcards.stream).model_dump(mode="json"))

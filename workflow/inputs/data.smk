from cassle.files import canonical_json
from cassle.paths import index_file, split_file


def get_data_set(wildcards):
    """The name of the data set of an index."""
    return PLAN.stream_of_index(wildcards.data_set).data_set


def get_data_settings(wildcards):
    """The settings of a data set that determine its index, as one text."""
    return canonical_json(PLAN.stream_of_index(wildcards.data_set).index_data)


def get_index(wildcards):
    """The index of a stream's data set."""
    return index_file(PLAN.stream(wildcards.stream).index)


def get_split(wildcards):
    """The split of the stream that is trained on."""
    return split_file(wildcards.stream)


def get_stream_spec(wildcards):
    """Everything that determines a split, as one text."""
    return canonical_json(PLAN.stream(wildcards.stream).model_dump(mode="json"))

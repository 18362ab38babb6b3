from cassle.contracts.layout import index_file, split_file
from cassle.core.files import fingerprint


def get_data_digest(wildcards):
    """Return the digest of the dataset and of its settings that determine its index."""
    stream = PLAN.stream_of_index(wildcards.dataset)
    return fingerprint([stream.dataset, stream.index_data])


def get_index(wildcards):
    """Return the index of a stream's dataset."""
    return index_file(PLAN.stream(wildcards.stream).index)


def get_split(wildcards):
    """Return the split of the stream that is trained on."""
    return split_file(wildcards.stream)


def get_stream_digest(wildcards):
    """Return the digest of everything that determines a split."""
    return fingerprint(PLAN.stream(wildcards.stream).model_dump(mode="json"))

"""Files: writing that leaves nothing half-written, reading that believes nothing unchecked."""

from cardiomorph.files.arrays import checked_tensors, read_arrays, sealed_arrays
from cardiomorph.files.folders import claim, folder_in_place, new_folder, refuse_unless_empty
from cardiomorph.files.leftovers import settle
from cardiomorph.files.reading import (
    check_format,
    digest,
    read_bytes,
    read_csv,
    read_json,
    read_record,
    read_text,
    unsealed,
    validated,
)
from cardiomorph.files.writing import (
    copy_file,
    copy_folder,
    ensure_folder,
    explained,
    json_text,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)

__all__ = [
    "check_format",
    "checked_tensors",
    "claim",
    "copy_file",
    "copy_folder",
    "digest",
    "ensure_folder",
    "explained",
    "folder_in_place",
    "json_text",
    "new_folder",
    "read_arrays",
    "read_bytes",
    "read_csv",
    "read_json",
    "read_record",
    "read_text",
    "refuse_unless_empty",
    "sealed_arrays",
    "settle",
    "unsealed",
    "validated",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_text",
]

"""Files to a frozen `Dataset`.

A reader is one file with one class, registered in `READERS`, and imported here.
"""

from automl_pheno.data import dosage, fasta, hapmap, intervals, ped, plink, raw, table, vcf
from automl_pheno.data.curate import choose_trait, drop_missing
from automl_pheno.data.dataset import Dataset, Examples, FloatArray, InputKind, Inputs, IntArray, StrArray, UInt8Array
from automl_pheno.data.encode import decode, encode_sequences, one_hot, one_hot_table, reverse_complement
from automl_pheno.data.options import READING_WORDS, Missing, Reading, spelled_out
from automl_pheno.data.read import READERS, Reader, ReadOptions, Samples, read_dataset
from automl_pheno.data.store import load_dataset, save_dataset

__all__ = [
    "READERS",
    "READING_WORDS",
    "Dataset",
    "Examples",
    "FloatArray",
    "InputKind",
    "Inputs",
    "IntArray",
    "Missing",
    "ReadOptions",
    "Reader",
    "Reading",
    "Samples",
    "StrArray",
    "UInt8Array",
    "choose_trait",
    "decode",
    "dosage",
    "drop_missing",
    "encode_sequences",
    "fasta",
    "hapmap",
    "intervals",
    "load_dataset",
    "one_hot",
    "one_hot_table",
    "ped",
    "plink",
    "raw",
    "read_dataset",
    "reverse_complement",
    "save_dataset",
    "spelled_out",
    "table",
    "vcf",
]

"""Lets Barman in Python write and read snappy with Debian 12's python3-snappy, whose part in C (0.5.3) refuses every call
under Python 3.10 or newer. Here are the functions of that part, by libsnappy; the framing stays that of the package. Newer
versions of the package do not ask for the part."""

import ctypes
import sys
import types

snappy = ctypes.CDLL("libsnappy.so.1")


class UncompressError(Exception):
    pass


def call(function, data, room):
    data, length = bytes(data), ctypes.c_size_t(room)
    out = ctypes.create_string_buffer(room)
    if function(data, ctypes.c_size_t(len(data)), out, ctypes.byref(length)):
        raise UncompressError(function.__name__)
    return out.raw[: length.value]


def compress(data):
    return call(snappy.snappy_compress, data, 32 + len(data) + len(data) // 6)


def uncompress(data):
    length = ctypes.c_size_t()
    if snappy.snappy_uncompressed_length(bytes(data), ctypes.c_size_t(len(data)), ctypes.byref(length)):
        raise UncompressError("snappy_uncompressed_length")
    return call(snappy.snappy_uncompress, data, length.value)


def valid(data):
    return not snappy.snappy_validate_compressed_buffer(bytes(data), ctypes.c_size_t(len(data)))


def crc32c(data):
    import crc32c

    return crc32c.crc32c(bytes(data))


part = types.ModuleType("snappy._snappy")
part.UncompressError, part.compress, part.uncompress, part.decompress = UncompressError, compress, uncompress, uncompress
part.isValidCompressed, part._crc32c = valid, crc32c
sys.modules[part.__name__] = part

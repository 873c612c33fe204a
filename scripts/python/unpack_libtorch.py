"""Unpacks what a LibTorch to build and load is made of: `unpack_libtorch.py FOLDER WHEEL…`.

Of PyTorch's wheel: headers, version and the two libraries that the addon links to, with the libraries that these bring
along. Of any other wheel: its shared libraries.
"""

import re
import sys
import zipfile

WANTED = re.compile(
    r"torch/(include/|version\.py$|lib/(lib)?(c10|torch_cpu|gomp|omp)[.-][^/]*$)|nvidia/.+/lib/lib(cudart|cupti)\.so[^/]*$"
)

folder, *wheels = sys.argv[1:]
for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if WANTED.match(name)])

// The library torchsearch_pch exists for its precompiled header (pch.h); a library has at least one source.

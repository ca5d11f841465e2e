"""Vectors on disk: shards of plain `.npy` files, checked, read a part at a time.

To write a matrix from blocks and read it again, in memory that does not grow with it:

    matrix = write_matrix(folder, blocks, shape=(1_000_000, 256))   # store.filling; blocks of any height
    matrix[:4096], matrix[np.array([3, 70_000])]                    # a `Matrix`: rows, materialised
    ShardedMatrix.open(folder).verify()                             # store.shards; compares all digests
"""

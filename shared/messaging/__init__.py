"""Events from one service's transaction into another's: delivered at least once, in effect once.

The only importer of aio_pika.
"""

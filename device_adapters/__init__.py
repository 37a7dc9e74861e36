"""Bytes in, events out: reads the records that devices sign, without any money or chain."""

"""The trades of the month that are paid by measured numbers: one file for each product."""

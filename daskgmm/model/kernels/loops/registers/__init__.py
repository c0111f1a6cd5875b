"""What loops do in vector registers: lanes, products, turned blocks and exponentials."""

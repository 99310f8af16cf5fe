"""What is asked: the experiment file as models, its reader, and the matrix that makes systems of it."""

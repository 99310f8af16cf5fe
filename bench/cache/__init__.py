"""What is kept between runs, addressed by what it was computed from."""

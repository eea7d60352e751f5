"""The local stack: the processes that `outdial dev` runs, and how other commands find them."""

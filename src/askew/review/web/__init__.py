"""The review page: a server on loopback that shows a row at a time and takes its verdict."""

from loadtest.cli import entry

entry()

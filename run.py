"""The command line from a clone of the project: ``python run.py`` is what ``seq2seq`` is where it is installed."""

from tasks.run import main

if __name__ == "__main__":
    main()

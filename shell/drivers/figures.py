# SPDX-License-Identifier: MIT
"""Saves matplotlib's open figures as figure-NUMBER.png, and closes them. Executed by the other drivers, imported by nobody: its
name would be one that the code cannot have.
"""
import os
import sys


def create(folder, number):
    """A new file; what is there already, under whatever name, is never written to."""
    while True:
        number += 1
        try:
            return open(os.path.join(folder, f"figure-{number}.png"), "xb"), number
        except FileExistsError:
            pass


def save(folder, number=0):
    """Numbers begin after `number`. Returns the last one."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if not pyplot or not folder:
        return number
    for shown in pyplot.get_fignums():
        try:
            os.makedirs(folder, exist_ok=True)
            figure = pyplot.figure(shown)
            file, number = create(folder, number)
            with file:
                figure.savefig(file, format="png")
        except Exception as error:
            print(f"creel: figure {shown} was not saved: {error}", file=sys.stderr)
        pyplot.close(shown)
    return number

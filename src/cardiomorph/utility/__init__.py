"""Do synthetic hearts make a segmentation network better, and when? A study in one command: `cardiomorph utility`."""

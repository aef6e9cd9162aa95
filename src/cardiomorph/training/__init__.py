"""From a prepared cohort to trained networks, in run folders that explain and resume themselves."""

"""Parametric hearts with known truth: for a start without registered data, and for tests with known answers."""

from cardiomorph.data.phantom.cohort import write_phantom_cohort
from cardiomorph.data.phantom.parameters import HeartParameters, draw_parameters
from cardiomorph.data.phantom.subject import PhantomSubject, make_subject

__all__ = ["HeartParameters", "PhantomSubject", "draw_parameters", "make_subject", "write_phantom_cohort"]

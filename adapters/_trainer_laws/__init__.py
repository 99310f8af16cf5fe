"""The laws of a trainer, and a planted task that a recipe must learn."""

from adapters._trainer_laws._planted import planted_base, planted_data, planted_teacher
from adapters._trainer_laws._suite import TrainerConformance

__all__ = ["TrainerConformance", "planted_base", "planted_data", "planted_teacher"]

"""What a fit job fits: a method makes the estimator, and takes the model from it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from daskgmm.fitting.options import MethodOptions, declared, values_of
from daskgmm.fitting.protocols import Estimator
from daskgmm.jobs.options import build

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

E = TypeVar("E", bound=Estimator)


@dataclass(frozen=True, kw_only=True)
class Method(ABC, Generic[E]):
    """A mixture, or a choice among mixtures, and how it is fitted.

    Parameters
    ----------
    chosen : mapping
        Values of `MethodOptions` where they differ from the defaults.
    seed : int or None
        ``None`` draws one, which the run's record keeps.
    """

    chosen: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], **own: Any) -> Self:
        """The method that the options of a job describe, with fields of its own."""
        chosen = {name: options[name] for name in declared(MethodOptions) if name in options}
        return build(cls, options, chosen=chosen, **own)

    @abstractmethod
    def estimator(self, **more: Any) -> E:
        """The estimator, not fitted; `more` are parameters that all estimators take."""

    @abstractmethod
    def outcome(self, fitted: E) -> tuple["GaussianMixture", dict[str, Any]]:
        """The model to keep from a fitted estimator, and further results for the record."""

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on but the rows, defaults included."""
        own = asdict(self)
        del own["chosen"]
        return values_of(MethodOptions, self.chosen) | own

    def parameters(self) -> dict[str, Any]:
        """The options as parameters of estimators."""
        values = values_of(MethodOptions, self.chosen)
        options = declared(MethodOptions)
        named = {options[name].parameter: value for name, value in values.items()}
        return named | {"random_state": self.seed}


@dataclass(frozen=True)
class MixtureSpec(Method["GaussianMixture"]):
    """One mixture.

    Parameters
    ----------
    components : int
        K.
    covariance : str
        The covariance type.
    """

    components: int
    covariance: str = "full"

    def estimator(self, **more: Any) -> "GaussianMixture":
        """A `GaussianMixture`."""
        from daskgmm.estimators.gaussian_mixture import GaussianMixture

        return GaussianMixture(
            self.components, covariance_type=self.covariance, **self.parameters(), **more
        )

    def outcome(self, fitted: "GaussianMixture") -> tuple["GaussianMixture", dict[str, Any]]:
        """The mixture itself; there are no further results."""
        return fitted, {}

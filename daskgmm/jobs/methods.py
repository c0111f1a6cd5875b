"""Methods of a fit job: each makes an estimator, and takes the model from the fitted one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.options import ConcentrationChoice, MethodOptions, declared, values_of
from daskgmm.fitting.protocols import Estimator
from daskgmm.jobs.options import BayesianOptions, build, check
from daskgmm.model.covariance import CovarianceType

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

E = TypeVar("E", bound=Estimator)


@dataclass(frozen=True, kw_only=True)
class Method(ABC, Generic[E]):
    """Method of a fit: one mixture, or a choice among several.

    Parameters
    ----------
    chosen : mapping
        Values of `MethodOptions` that the user gave.
    seed : int or None
        Seed of the random numbers; with ``None`` one is drawn, and the run's record keeps it.
    """

    chosen: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], **own: Any) -> Self:
        """Create the method from the options of a job, and from further values."""
        chosen = {name: options[name] for name in declared(MethodOptions) if name in options}
        return build(cls, options, chosen=chosen, **own)

    @abstractmethod
    def estimator(self, **more: Any) -> E:
        """Create the estimator, not fitted; `more` are parameters that all estimators take."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[int, ...]:
        """Numbers of components to fit."""

    @abstractmethod
    def outcome(self, fitted: E) -> tuple["GaussianMixture", dict[str, Any]]:
        """The model to keep from a fitted estimator, and further results for the record."""

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on except the rows, with defaults."""
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
    """Method of a fit of one mixture.

    Parameters
    ----------
    components : int
        Number of components K.
    covariance : str
        Covariance type.
    """

    components: int
    covariance: CovarianceType = "full"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of components."""
        return (self.components,)

    def estimator(self, **more: Any) -> "GaussianMixture":
        """A `GaussianMixture`."""
        from daskgmm.estimators.gaussian_mixture import GaussianMixture

        return GaussianMixture(
            self.components, covariance_type=self.covariance, **self.parameters(), **more
        )

    def outcome(self, fitted: "GaussianMixture") -> tuple["GaussianMixture", dict[str, Any]]:
        """The mixture itself; there are no further results."""
        return fitted, {}


_OF_LIKELIHOOD = ("acceleration", "prior", "noise")
"""Options that variational mixtures do not take."""


@dataclass(frozen=True)
class BayesianSpec(MixtureSpec):
    """Method of a fit of one variational mixture.

    Parameters
    ----------
    concentration : float or None
        Concentration of the weights' prior.
    concentration_type : str
        Kind of that prior.
    """

    concentration: float | None = None
    concentration_type: ConcentrationChoice = "dirichlet_process"

    def configuration(self) -> dict[str, Any]:
        """As of any method, and that the mixture is variational."""
        found = super().configuration()
        for name in _OF_LIKELIHOOD:
            del found[name]
        return found | {"bayesian": True}

    def estimator(self, **more: Any) -> "GaussianMixture":
        """A `BayesianGaussianMixture`."""
        from daskgmm.estimators.bayesian import BayesianGaussianMixture

        without = {declared(MethodOptions)[name].parameter for name in _OF_LIKELIHOOD}
        parameters = {
            name: value for name, value in self.parameters().items() if name not in without
        }
        return BayesianGaussianMixture(
            n_components=self.components,
            covariance_type=self.covariance,
            weight_concentration_prior=self.concentration,
            weight_concentration_prior_type=self.concentration_type,
            **parameters,
            **more,
        )


def mixture_spec(priors: Mapping[str, Any], options: Mapping[str, Any], **own: Any) -> MixtureSpec:
    """The method of a fit of one mixture, variational or not, from the options of a job.

    Parameters
    ----------
    priors : mapping
        Values of `BayesianOptions`.
    options : mapping
        The other options.
    own
        Number of components and covariance type.

    Raises
    ------
    ConfigurationError
        A prior is out of range, or options do not go together.
    """
    check(priors, BayesianOptions)
    given = values_of(BayesianOptions, priors)
    if given.pop("bayesian"):
        for name in (*_OF_LIKELIHOOD, "fix", "fix_from"):
            if options.get(name):
                raise ConfigurationError(
                    f"A variational mixture does not take {name}.",
                    f"Leave out --{name.replace('_', '-')}, or --bayesian.",
                )
        return BayesianSpec.of(options, **own, **given)
    if given["concentration"] is not None:
        raise ConfigurationError(
            f"The concentration is {given['concentration']:g}, but the mixture has no priors.",
            "Ask for a variational mixture too: --bayesian.",
        )
    return MixtureSpec.of(options, **own)

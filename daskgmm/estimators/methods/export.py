"""A fitted estimator in other languages."""

from collections.abc import Sequence
from typing import Any

from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import FittedMixture


class ExportMethods:
    """Mixin with the methods that hand a mixture on to a database or to another runtime."""

    def to_sql(
        self: FittedMixture,
        table: str,
        dialect: str = "duckdb",
        columns: Sequence[str] | None = None,
    ) -> str:
        """One SELECT that gives every row of a table its label, probabilities and log-density.

        Needs sqlglot. The text grows with ``K D ** 2``, or with ``K D`` where covariances lie along
        the axes: 40 kB for K = D = 10 and 1.7 MB for K = 20 and D = 50.

        Parameters
        ----------
        table : str
            The table's name, as the dialect writes it.
        dialect : {'duckdb', 'spark', 'bigquery', 'snowflake', 'postgres'}, default 'duckdb'
        columns : sequence of str, optional
            Columns of the table in the order of the fit's; by default they have the same names.

        Returns
        -------
        str
            All columns of the table, and ``label``, ``probability_0`` to the last component's, and
            ``log_density`` (nats), which are NULL where a feature is.

        Raises
        ------
        ConfigurationError
            The dialect or table is not known, columns are missing, or sqlglot is not installed.
        """
        from daskgmm.export.sql import to_sql

        require_fitted(self)
        return to_sql(Fitted.of(self), table, dialect, columns)

    def to_onnx(self: FittedMixture) -> Any:
        """An ONNX model, to predict without Python. Needs onnx.

        Returns
        -------
        onnx.ModelProto
            Its input ``X`` (n, D) has the type of the rows that were fitted, and any number of
            rows. Outputs are ``label`` (n,), ``probabilities`` (n, K) and ``log_density`` (n,) in
            nats. A runtime holds n K D numbers at once.

        Raises
        ------
        ConfigurationError
            onnx is not installed.
        """
        from daskgmm.export.onnx import to_onnx

        require_fitted(self)
        return to_onnx(Fitted.of(self), self._dtype)

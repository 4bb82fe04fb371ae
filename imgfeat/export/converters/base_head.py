"""Base classes of converters for classifiers: decision function, probabilities and labels."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from skl2onnx.proto import TensorProto
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from imgfeat._compat.skl2onnx import (
    find_alias,
    has_own_converters,
    parse_classifier,
    parse_estimator,
    parse_simple,
)
from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope, Variable
from imgfeat._pipelines import is_passthrough
from imgfeat.export.converters.base_step import Step, declare
from imgfeat.export.converters.parsing import list_parsers, parse_own
from imgfeat.export.converters.registry import Parsers, register
from imgfeat.export.labels import are_strings
from imgfeat.ops.nodes import Nodes

OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "raw_scores": [False, True],
    "nocl": [False],
}


class Head(Step):
    """One fitted classifier, whose nodes are added when an output is first used.

    Subclasses implement `_add_codes` and, if the classifier has them, `_add_decision` and
    `_add_probabilities`.
    """

    @cached_property
    def decision(self) -> str:
        """The decision function: (n, n_classes), (n, n_labels), or (n, 1) for two classes."""
        return self._add_decision()

    @cached_property
    def probabilities(self) -> str:
        """Probabilities: (n, n_classes), or (n, n_labels)."""
        return self._add_probabilities()

    @cached_property
    def codes(self) -> str:
        """Positions of the labels in `classes_`, (n,), or an indicator matrix; int64."""
        return self._add_codes()

    def _add_decision(self) -> str:
        raise NotImplementedError(f"{type(self.estimator).__name__} has no decision function.")

    def _add_probabilities(self) -> str:
        raise NotImplementedError(f"{type(self.estimator).__name__} has no probabilities.")

    def _add_codes(self) -> str:
        return self.argmax(self.probabilities)

    def inner(self, estimator: BaseEstimator, X: Variable | None = None) -> "Head":
        """Return the head of a nested classifier, on the features of this one by default."""
        return find_head(self.nodes, estimator, self.X if X is None else X)

    def argmax(self, scores: str) -> str:
        """Return the column of each row's largest value; of several, the first."""
        return self.add("ArgMax", scores, axis=1, keepdims=0)

    def is_positive(self, values: str) -> str:
        """Return 1 where values are above 0, else 0, in the same shape; int64."""
        return self.nodes.cast(self.add("Greater", values, self.floats(0)), np.int64)

    def threshold_at_zero(self, decision: str) -> str:
        """Return codes (n,) from the decision function (n, 1) of two classes."""
        return self.nodes.reshape(self.is_positive(decision), -1)

    def one_hot(self, codes: str, n_classes: int) -> str:
        """Return (n, n_classes), 1 in the column of each code, else 0."""
        column = self.nodes.reshape(codes, -1, 1)
        equal = self.add("Equal", column, self.nodes.constant(np.arange(n_classes), np.int64))
        return self.nodes.cast(equal, self.dtype)

    def pair(self, positive: str) -> str:
        """Return probabilities of both classes (n, 2) from those of the second class (n, 1)."""
        return self.join([self.add("Sub", self.floats(1), positive), positive])

    def normalize(self, columns: str, fallback: ArrayLike) -> str:
        """Divide rows by their sums; rows with the sum 0 are replaced by the row `fallback`."""
        axes = self.nodes.constant([1], np.int64)
        total = self.add("ReduceSum", columns, axes, keepdims=1)
        empty = self.add("Equal", total, self.floats(0))
        return self.add("Where", empty, self.floats(fallback), self.add("Div", columns, total))


class Skl2onnxHead(Head):
    """A classifier that is converted by skl2onnx."""

    #: The alias of skl2onnx's converter, for classifiers that imgfeat also has a converter for.
    alias: str | None = None

    def _add_decision(self) -> str:
        scores = self._outputs(raw_scores=True)[1]
        binary = len(self.estimator.classes_) == 2
        return self.nodes.slice(scores, 1, -1, np.iinfo(np.int64).max) if binary else scores

    def _add_probabilities(self) -> str:
        return self._both[1]

    def _add_codes(self) -> str:
        label, classes = self._both[0], self.estimator.classes_
        column = self.nodes.reshape(label, -1, 1)
        equal = self.add("Equal", column, add_labels(self.nodes, classes))
        return self.argmax(self.nodes.cast(equal, np.int32))

    @cached_property
    def _both(self) -> tuple[str, str]:
        return self._outputs(raw_scores=False)

    def _outputs(self, raw_scores: bool) -> tuple[str, str]:
        scope, container = self.nodes.scope, self.nodes.container
        if find_alias(type(self.estimator)) is None:
            raise NotImplementedError(
                f"{type(self.estimator).__name__} has no converter to ONNX: register one with "
                "skl2onnx.update_registered_converter."
            )
        options = {"zipmap": False} | ({"raw_scores": True} if raw_scores else {})
        scope.add_options(id(self.estimator), options)
        container.add_options(id(self.estimator), options)
        label, scores = parse_simple(scope, self.estimator, [self.X], alias=self.alias)
        return label.full_name, scores.full_name


HeadFactory = Callable[[Nodes, BaseEstimator, Variable], Head]
HEADS: dict[type, HeadFactory] = {}


class DelegatingHead(Head):
    """Returns the outputs of another head: subclasses implement `_delegate`."""

    @cached_property
    def _delegate(self) -> Head:
        raise NotImplementedError

    def _add_decision(self) -> str:
        return self._delegate.decision

    def _add_probabilities(self) -> str:
        return self._delegate.probabilities

    def _add_codes(self) -> str:
        return self._delegate.codes


class PipelineHead(DelegatingHead):
    """Transformers, and a classifier on their features."""

    @cached_property
    def _delegate(self) -> Head:
        X, scope = self.X, self.nodes.scope
        for _, step in self.estimator.steps[:-1]:
            if not is_passthrough(step):
                (X,) = parse_estimator(scope, step, [X], custom_parsers=list_parsers(scope))
        return self.inner(self.estimator.steps[-1][1], X)


HEADS[Pipeline] = PipelineHead


def find_head(nodes: Nodes, estimator: BaseEstimator, X: Variable) -> Head:
    """Return the head of a fitted classifier on features `X`, a skl2onnx Variable."""
    return HEADS.get(type(estimator), Skl2onnxHead)(nodes, estimator, X)


def register_head(kind: type, head: HeadFactory) -> None:
    """Register a head for `find_head` and `load_converters`.

    Parameters
    ----------
    kind : type
        The class of the classifier; subclasses of it are not included.
    head : subclass of Head, or callable
        ``head(nodes, estimator, X)`` returns the head.
    """
    HEADS[kind] = head
    register(kind, infer_head, convert_head, parser=_parse, options=OPTIONS)


def is_multilabel(estimator: BaseEstimator) -> bool:
    """Return whether a classifier was fitted on an indicator matrix."""
    if isinstance(estimator, Pipeline):
        return is_multilabel(estimator.steps[-1][1])
    if hasattr(estimator, "best_estimator_"):
        return is_multilabel(estimator.best_estimator_)
    estimator = getattr(estimator, "classifier_", estimator)
    several = isinstance(estimator.classes_, list) or np.ndim(estimator.classes_) == 2
    return several or getattr(estimator, "multilabel_", False)


def add_labels(nodes: Nodes, classes: NDArray[Any]) -> str:
    """Add labels as a constant: strings, or int64 for numbers of any dtype."""
    if not are_strings(classes):
        return nodes.constant(classes, np.int64)
    name = nodes.scope.get_unique_variable_name("imgfeat_labels")
    labels = [label.encode() for label in classes]
    nodes.container.add_initializer(name, TensorProto.STRING, [len(labels)], labels)
    return name


def _parse(
    scope: Scope,
    model: BaseEstimator,
    inputs: list[Variable],
    custom_parsers: Parsers | None = None,
) -> list[Variable]:
    """Declare outputs; only probabilities of classes may become skl2onnx's dictionaries."""
    if has_own_converters(scope):
        return parse_own(scope, model, inputs, custom_parsers=custom_parsers)
    plain = is_multilabel(model) or not hasattr(model, "predict_proba")
    parser = parse_simple if plain else parse_classifier
    return parser(scope, model, inputs, custom_parsers=custom_parsers)


def infer_head(operator: Operator) -> None:
    """Set the types of a classifier's labels and of its probabilities or decision function."""
    estimator = operator.raw_operator
    label, scores = operator.outputs
    n = operator.inputs[0].get_first_dimension()
    if is_multilabel(estimator):
        label.set_type(Int64TensorType([n, None]))
        shape = [n, None]
    else:
        strings = are_strings(estimator.classes_)
        label.set_type(StringTensorType([n]) if strings else Int64TensorType([n]))
        width = len(estimator.classes_) if hasattr(estimator, "predict_proba") else None
        shape = [n] if _has_one_column(estimator) else [n, width]
    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    scores.set_type((DoubleTensorType if double else FloatTensorType)(shape))


def _has_one_column(estimator: BaseEstimator) -> bool:
    """Return whether the second output is the decision function of two classes."""
    if is_multilabel(estimator) or hasattr(estimator, "predict_proba"):
        return False
    return hasattr(estimator, "decision_function") and len(estimator.classes_) == 2


def convert_head(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Add the nodes of a classifier."""
    nodes, estimator = Nodes(scope, container), operator.raw_operator
    X = operator.inputs[0]
    if not isinstance(X.type, (FloatTensorType, DoubleTensorType)):
        X = declare(nodes, nodes.cast(X.full_name, np.float32), np.float32)
    head = find_head(nodes, estimator, X)
    label, scores = (output.full_name for output in operator.outputs)
    options = scope.get_options(estimator, {"raw_scores": False}, fail=False) or {}
    raw = options.get("raw_scores", False)
    if raw and len(estimator.classes_) == 2:
        both = [nodes.add("Neg", head.decision), head.decision]
        nodes.add("Concat", *both, axis=1, output=scores)
    elif raw:
        nodes.add("Identity", head.decision, output=scores)
    elif hasattr(estimator, "predict_proba"):
        nodes.add("Identity", head.probabilities, output=scores)
    elif _has_one_column(estimator):
        nodes.add("Reshape", head.decision, nodes.constant([-1], np.int64), output=scores)
    else:
        nodes.add("Identity", head.decision, output=scores)
    if is_multilabel(estimator) or _are_positions(estimator.classes_):
        nodes.add("Identity", head.codes, output=label)
    else:
        nodes.add("Gather", add_labels(nodes, estimator.classes_), head.codes, output=label)


def _are_positions(classes: NDArray[Any]) -> bool:
    return classes.dtype.kind in "iub" and np.array_equal(classes, np.arange(len(classes)))

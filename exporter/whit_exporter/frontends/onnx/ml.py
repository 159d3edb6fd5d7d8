"""The numeric operators of ai.onnx.ml: scalers, encoders, linear models and support vector machines."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import DType, from_numpy
from ...ir import Value
from .expr import Expr, constant
from .registry import Array, NodeContext, lower

ML = "ai.onnx.ml"


def real(n: NodeContext) -> Expr:
    """The input as reals."""
    x = Expr(n.b, n.value(0))
    return x if n.dtype(0) == DType.F64 else x.cast(DType.F32)


def like(x: Expr, values: Any) -> Expr:
    """A constant of the type of x."""
    return constant(x.b, np.asarray(values), x.v.dtype or DType.F32)


@lower("Binarizer", domain=ML)
def binarizer(n: NodeContext) -> Value:
    x = Expr(n.b, n.value(0))
    return (x > n.float("threshold", 0.0)).cast(n.dtype(0)).v


@lower("Scaler", domain=ML)
def scaler(n: NodeContext) -> Value:
    x = Expr(n.b, n.value(0)).cast(DType.F32)
    return ((x - like(x, n.floats("offset", [0.0]))) * like(x, n.floats("scale", [1.0]))).v


@lower("Normalizer", domain=ML)
def normalizer(n: NodeContext) -> Value:
    """A row whose norm is zero stays as it is."""
    x = Expr(n.b, n.value(0)).cast(DType.F32)
    match n.str("norm", "MAX"):
        case "MAX":
            norm = x.reduce("max", [-1])
        case "L1":
            norm = x.abs().sum([-1])
        case _:
            norm = (x * x).sum([-1]).sqrt()
    return (x / norm.eq(0.0).where(1.0, norm)).v


@lower("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(n: NodeContext) -> Value:
    y = Expr(n.b, n.value(0)).gather(n.b.reshape_to(n.value(1), [-1]), -1)
    return (y.unsqueeze(0) if n.rank(0) == 1 else y).v


@lower("FeatureVectorizer", domain=ML)
def feature_vectorizer(n: NodeContext) -> Value:
    rows = [Expr(n.b, v).cast(DType.F32) for v in n.values()]
    rows = [x.unsqueeze(0) if n.rank(i) == 1 else x for i, x in enumerate(rows)]
    return n.b.concat([x.v for x in rows], 1)


@lower("Imputer", domain=ML)
def imputer(n: NodeContext) -> Value:
    x = Expr(n.b, n.value(0))
    if n.dtype(0).is_float:
        old, new = n.float("replaced_value_float", 0.0), n.floats("imputed_value_floats")
        hit = x.op("is_nan") if old != old else x.eq(old)
    else:
        new = [float(v) for v in n.ints("imputed_value_int64s")]
        hit = x.eq(n.int("replaced_value_int64", 0))
    if not new:
        raise n.fail("no imputed values are given")
    return hit.where(like(x, new), x).v


def no_strings(n: NodeContext, *names: str) -> None:
    for name in names:
        if n.has(name):
            raise n.fail(
                f"{name}: strings are not supported; map them to numbers outside the model"
            )


def lookup(x: Expr, keys: Array, values: Array, default: Any, dtype: DType) -> Value:
    """values[i] where x == keys[i] (NaN equals NaN), else the default."""
    column = x.unsqueeze(-1)
    hit = column.eq(like(x, keys))
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        hit = hit | (column.op("is_nan") & constant(x.b, np.isnan(keys), DType.BOOL))
    hits = hit.cast(DType.U8)
    index = hits.op("argreduce", axis=-1, keepdims=0, max=1, last=0)
    found = hits.reduce("max", [-1], keepdims=False).cast(DType.BOOL)
    return found.where(constant(x.b, values, dtype).gather(index, 0), default).v


@lower("LabelEncoder", domain=ML)
def label_encoder(n: NodeContext) -> Value:
    """Opset 1 maps between strings and numbers, and so cannot be had."""
    no_strings(n, "keys_strings", "values_strings", "classes_strings")
    found: list[Array] = []
    for side in ("keys", "values"):
        tensor = n.tensor(f"{side}_tensor")
        if tensor is not None:
            found.append(np.atleast_1d(tensor).ravel())
        elif n.has(f"{side}_int64s"):
            found.append(np.array(n.ints(f"{side}_int64s"), np.int64))
        else:
            found.append(np.array(n.floats(f"{side}_floats"), np.float32))
    keys, values = found
    tensor = n.tensor("default_tensor")
    if tensor is not None:
        default: Any = tensor.ravel()[0].item()
    elif values.dtype.kind == "f":
        default = n.float("default_float", -0.0)
    else:
        default = n.int("default_int64", -1)
    return lookup(Expr(n.b, n.value(0)), keys, values, default, from_numpy(values.dtype))


@lower("OneHotEncoder", domain=ML)
def one_hot_encoder(n: NodeContext) -> Value:
    no_strings(n, "cats_strings")
    categories = np.array(n.ints("cats_int64s"), np.int64)
    column = Expr(n.b, n.value(0)).cast(DType.I64).unsqueeze(-1)
    return column.eq(like(column, categories)).cast(DType.F32).v


# Linear models and support vector machines


def post_transform(n: NodeContext, x: Expr) -> Expr:
    """The node's own transform of scores."""
    return transformed(n, x, n.str("post_transform", "NONE"))


def transformed(n: NodeContext, x: Expr, how: str) -> Expr:
    match how:
        case "NONE":
            return x
        case "LOGISTIC":
            return x.op("sigmoid")
        case "SOFTMAX":
            e = (x - x.reduce("max", [-1])).exp()
            return e / e.sum([-1])
        case "SOFTMAX_ZERO":  # scores of zero stay zero
            e = x.eq(0.0).where(0.0, (x - x.reduce("max", [-1])).exp())
            total = e.sum([-1])
            return e / total.eq(0.0).where(1.0, total)
        case _:
            raise n.fail(f"post_transform {how} is not supported")


def rows_of(n: NodeContext, x: Expr) -> Expr:
    return x.unsqueeze(0) if n.rank(0) == 1 else x


def linear(n: NodeContext, x: Expr, targets: int) -> Expr:
    """x times the coefficients, which stand target by target."""
    weights = np.array(n.floats("coefficients")).reshape(targets, -1).T
    y = x.matmul(like(x, weights))
    return y + like(x, n.floats("intercepts")) if n.floats("intercepts") else y


@lower("LinearRegressor", domain=ML)
def linear_regressor(n: NodeContext) -> Value:
    x = rows_of(n, Expr(n.b, n.value(0)).cast(DType.F32))
    return post_transform(n, linear(n, x, n.int("targets", 1))).v


@lower("LinearClassifier", domain=ML)
def linear_classifier(n: NodeContext) -> list[Value]:
    """Label and scores; one row of coefficients for two labels gives -score and score."""
    no_strings(n, "classlabels_strings")
    labels = n.ints("classlabels_ints")
    x = rows_of(n, Expr(n.b, n.value(0)).cast(DType.F32))
    width = x.v.shape[1] if x.v.shape else None
    if not isinstance(width, int):
        raise n.fail("the number of features must be known")
    count = len(n.floats("coefficients")) // width
    scores = linear(n, x, count)
    if count == 1 and len(labels) == 2:
        scores, count = Expr(n.b, n.b.concat([(-scores).v, scores.v], 1)), 2
    scores = post_transform(n, scores)
    names = constant(n.b, np.array(labels or range(count), np.int64), DType.I64)
    if count > 1:
        best = scores.op("argreduce", axis=1, keepdims=0, max=1, last=0)
        return [names.gather(best, 0).v, scores.v]
    threshold = 0.0 if n.str("post_transform", "NONE") == "NONE" else 0.5
    chosen = (scores >= threshold).where(names.slice(0, 1, 0), 0)
    return [chosen.reshape([-1]).v, scores.v]


def kernel_values(n: NodeContext, x: Expr, vectors: Array) -> Expr:
    """The kernel of every row of x with every support vector: [rows, vectors]."""
    gamma, coef0, degree = (n.floats("kernel_params") or [0.0, 0.0, 0.0])[:3]
    kind = n.str("kernel_type", "LINEAR")
    products = x.matmul(like(x, vectors.T))
    match kind:
        case "LINEAR":
            return products
        case "POLY":
            return (products * gamma + coef0) ** float(int(degree))
        case "SIGMOID":
            return (products * gamma + coef0).op("tanh")
        case "RBF":
            d = x.unsqueeze(1) - like(x, vectors)
            return ((d * d).sum([-1], keepdims=False) * -gamma).exp()
    raise n.fail(f"kernel_type {kind} is not known")


@lower("SVMRegressor", domain=ML)
def svm_regressor(n: NodeContext) -> Value:
    x = rows_of(n, Expr(n.b, n.value(0)).cast(DType.F32))
    count = n.int("n_supports", 0)
    coefficients = np.array(n.floats("coefficients"))
    if count:
        x = kernel_values(n, x, np.array(n.floats("support_vectors")).reshape(count, -1))
    y = x.matmul(like(x, coefficients[:, None])) + n.floats("rho", [0.0])[0]
    if n.int("one_class", 0):
        y = (y > 0.0).where(like(y, 1.0), -1.0)
    return post_transform(n, y).v


@lower("SVMClassifier", domain=ML)
def svm_classifier(n: NodeContext) -> list[Value]:
    """One against one, by votes, without probabilities; or one linear function a class."""
    no_strings(n, "classlabels_strings")
    if n.floats("prob_a"):
        raise n.fail("probabilities (prob_a) are not supported; export the model without them")
    b, labels = n.b, n.ints("classlabels_ints")
    x, classes = rows_of(n, Expr(n.b, n.value(0)).cast(DType.F32)), max(len(labels), 1)
    counts, rho = n.ints("vectors_per_class"), n.floats("rho")
    names = constant(b, np.array(labels, np.int64), DType.I64)
    if not sum(counts):
        weights = np.array(n.floats("coefficients")).reshape(classes, -1).T
        scores = x.matmul(like(x, weights)) + rho[0]
        best = scores.op("argreduce", axis=1, keepdims=0, max=1, last=0)
        return [names.gather(best, 0).v, post_transform(n, scores).v]
    coefficients = np.array(n.floats("coefficients")).reshape(-1, sum(counts))
    vectors = np.array(n.floats("support_vectors")).reshape(sum(counts), -1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights = np.zeros((sum(counts), len(pairs)))
    ballots = np.zeros((2, len(pairs), classes))
    for p, (i, j) in enumerate(pairs):
        first, second = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        weights[first, p], weights[second, p] = coefficients[j - 1, first], coefficients[i, second]
        ballots[0, p, i] = ballots[1, p, j] = 1
    scores = kernel_values(n, x, vectors).matmul(like(x, weights)) + like(x, rho)
    for_first = (scores > 0.0).cast(DType.F32)
    votes = for_first.matmul(like(x, ballots[0])) + (1.0 - for_first).matmul(like(x, ballots[1]))
    best = votes.op("argreduce", axis=1, keepdims=0, max=1, last=0)
    if len(rho) == 1:
        scores = Expr(b, b.concat([(-scores).v, scores.v], 1))
    return [names.gather(best, 0).v, post_transform(n, scores).v]


@lower("TfIdfVectorizer")
def tfidf_vectorizer(n: NodeContext) -> Value:
    """How often each n-gram of the pool stands in a row, with every number of skipped places allowed."""
    no_strings(n, "pool_strings")
    pool, starts = n.ints("pool_int64s"), n.ints("ngram_counts")
    columns, weights = n.ints("ngram_indexes"), n.floats("weights")
    shortest, longest, skips = (
        n.int(k) for k in ("min_gram_length", "max_gram_length", "max_skip_count")
    )
    x = rows_of(n, Expr(n.b, n.value(0)).cast(DType.I64))
    length, mode, at = n.static_dim(0, -1, "the number of tokens"), n.str("mode"), 0
    table = np.zeros((len(columns), max(columns) + 1), np.float32)
    for gram, column in enumerate(columns):
        table[gram, column] = 1 if mode == "TF" or not weights else weights[gram]
    total: Expr | None = None
    for size, (start, end) in enumerate(zip(starts, [*starts[1:], len(pool)], strict=True), 1):
        grams = np.array(pool[start:end], np.int64).reshape(-1, size)
        rows = table[at : at + len(grams)]
        at += len(grams)
        if not shortest <= size <= longest or not len(grams):
            continue
        counts: Expr | None = None
        for step in range(1, (skips if size > 1 else 0) + 2):
            places = np.arange(length - step * (size - 1))[:, None] + step * np.arange(size)
            if not places.size:
                continue
            found = x.gather(constant(x.b, places, DType.I64), 1).unsqueeze(2)
            same = (
                found.eq(constant(x.b, grams, DType.I64)).cast(DType.F32).reduce("min", [-1], False)
            )
            hits = same.sum([1], keepdims=False)
            counts = hits if counts is None else counts + hits
        if counts is not None:
            counts = counts.min(1.0) if mode == "IDF" else counts
            part = counts.matmul(constant(x.b, rows, DType.F32))
            total = part if total is None else total + part
    if total is None:
        total = x.cast(DType.F32).sum([-1]) * 0.0 + constant(
            x.b, np.zeros(table.shape[1]), DType.F32
        )
    return (total.squeeze(0) if n.rank(0) == 1 else total).v

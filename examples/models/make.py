"""Makes the models of this folder, their inputs, and what onnxruntime gives for them.

    pip install numpy scikit-learn onnx onnxruntime skl2onnx
    python examples/models/make.py

The features of the LeNet and of the transformer block are random with a fixed seed, as are their biases and statistics; only
the last layer is trained, by scikit-learn, on the rows of ../data. The perceptron and the pipeline are trained entirely.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

HERE = Path(__file__).parent
ROWS = 12  # rows of each model's example input
OPSET = 17


def table(name):
    """Features and class of ../data/name.csv."""
    rows = np.loadtxt(HERE / ".." / "data" / f"{name}.csv", delimiter=",", skiprows=1)
    return rows[:, :-1].astype(np.float32), rows[:, -1].astype(np.int64)


class Builder:
    """A graph whose initializers are named after the nodes that use them."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.initializers = [], []

    def constant(self, name, value):
        value = np.asarray(value)
        value = value.astype(np.float32) if value.dtype == np.float64 else value
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def uniform(self, name, shape, bound):
        return self.constant(name, self.random.uniform(-bound, bound, shape))

    def linear(self, x, sizes, name, bias=True):
        """x·W + b on the last axis."""
        weight = self.uniform(f"{name}.weight", sizes, sizes[0] ** -0.5)
        product = self.node("MatMul", [x, weight], f"{name}.matmul")
        if not bias:
            return product
        return self.node("Add", [product, self.uniform(f"{name}.bias", sizes[1:], 0.1)], name)

    def model(self, input_shape, output, output_shape):
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)],
            self.initializers,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def answers(model, x):
    """What onnxruntime gives for x, output by output."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x})


def save(name, model, x):
    """The model, its example input, and the answers."""
    onnx.save(model, HERE / f"{name}.onnx")
    np.save(HERE / f"{name}-x.npy", x)
    for k, y in enumerate(answers(model, x)):
        np.save(HERE / f"{name}-y{k}.npy", y)


def classifier(builder, features, shape, x, classes):
    """Adds a last layer, trained on what the graph gives as `features` for x; logits."""
    y = answers(builder.model(shape, features, ["batch", None]), x)[0]
    last = LogisticRegression(max_iter=2000).fit(y, classes)
    print(f"accuracy on the rows it was trained on: {last.score(y, classes):.3f}")
    weight = builder.constant("last.weight", last.coef_)
    bias = builder.constant("last.bias", last.intercept_)
    return builder.node("Gemm", [features, weight, bias], "logits", transB=1)


def mlp():
    x, digit = table("digits")
    x /= 16
    trained = MLPClassifier((32, 32), max_iter=300, random_state=1).fit(x, digit)
    builder, value = Builder(1), "x"
    for k, (weight, bias) in enumerate(zip(trained.coefs_, trained.intercepts_)):
        if k > 0:
            value = builder.node("Relu", [value], f"relu{k}")
        names = [builder.constant(f"fc{k}.weight", weight.T), builder.constant(f"fc{k}.bias", bias)]
        value = builder.node("Gemm", [value, *names], f"fc{k}", transB=1)
    value = builder.node("Softmax", [value], "probabilities", axis=-1)
    save("mlp", builder.model(["batch", 64], value, ["batch", 10]), x[:ROWS])


def lenet():
    x, digit = table("digits")
    x = x.reshape(-1, 1, 8, 8) / 16
    builder, value, channels = Builder(2), "x", 1
    for k, wide in enumerate([12, 24]):
        shape = [wide, channels, 3, 3]
        names = [
            builder.uniform(f"conv{k}.weight", shape, (channels * 9) ** -0.5),
            builder.uniform(f"conv{k}.bias", [wide], 0.1),
        ]
        value = builder.node("Conv", [value, *names], f"conv{k}", pads=[1] * 4)
        statistics = [
            builder.constant(f"bn{k}.weight", builder.random.uniform(0.5, 2, wide)),
            builder.uniform(f"bn{k}.bias", [wide], 0.5),
            builder.uniform(f"bn{k}.mean", [wide], 0.3),
            builder.constant(f"bn{k}.variance", builder.random.uniform(0.05, 0.5, wide)),
        ]
        value = builder.node("BatchNormalization", [value, *statistics], f"bn{k}")
        value = builder.node("Relu", [value], f"relu{k}")
        pool = ["MaxPool", "AveragePool"][k]
        value = builder.node(pool, [value], f"pool{k}", kernel_shape=[2, 2], strides=[2, 2])
        channels = wide
    value = builder.node("Flatten", [value], "flat")
    value = builder.linear(value, [24 * 4, 64], "fc")
    value = builder.node("Relu", [value], "features")
    shape = ["batch", 1, 8, 8]
    value = classifier(builder, value, shape, x, digit)
    save("lenet", builder.model(shape, value, ["batch", 10]), x[:ROWS])


def transformer():
    """An encoder block as PyTorch exports it, on the eight rows of an image."""
    x, digit = table("digits")
    x = x.reshape(-1, 8, 8) / 16
    wide, heads = 32, 4
    builder = Builder(3)
    value = builder.linear("x", [8, wide], "embed")
    value = builder.node("Add", [value, builder.uniform("position", [8, wide], 0.5)], "tokens")

    def norm(value, name):
        names = [
            builder.constant(f"{name}.weight", builder.random.uniform(0.5, 1.5, wide)),
            builder.uniform(f"{name}.bias", [wide], 0.2),
        ]
        return builder.node("LayerNormalization", [value, *names], name, axis=-1, epsilon=1e-5)

    def split(value, name, order):
        shape = builder.constant(f"{name}.shape", np.array([0, 8, heads, wide // heads]))
        value = builder.node("Reshape", [value, shape], f"{name}.heads")
        return builder.node("Transpose", [value], name, perm=order)

    normed = norm(value, "norm1")
    q, k, v = (builder.linear(normed, [wide, wide], f"attention.{n}") for n in "qkv")
    q, v = (split(t, f"{t}.split", [0, 2, 1, 3]) for t in (q, v))
    k = split(k, f"{k}.split", [0, 2, 3, 1])
    scores = builder.node("MatMul", [q, k], "attention.scores")
    root = builder.constant("attention.root", np.float32((wide // heads) ** 0.5))
    scores = builder.node("Div", [scores, root], "attention.scaled")
    weights = builder.node("Softmax", [scores], "attention.softmax", axis=-1)
    mixed = builder.node("MatMul", [weights, v], "attention.mixed")
    mixed = builder.node("Transpose", [mixed], "attention.together", perm=[0, 2, 1, 3])
    shape = builder.constant("attention.shape", np.array([0, 8, wide]))
    mixed = builder.node("Reshape", [mixed, shape], "attention.joined")
    mixed = builder.linear(mixed, [wide, wide], "attention.out")
    value = builder.node("Add", [value, mixed], "residual1")

    hidden = builder.linear(norm(value, "norm2"), [wide, 2 * wide], "mlp.up")
    # GELU in the form that exporters before operator set 20 write.
    scaled = builder.node("Div", [hidden, builder.constant("root2", np.float32(2**0.5))], "gelu.scaled")
    error = builder.node("Erf", [scaled], "gelu.erf")
    above = builder.node("Add", [error, builder.constant("one", np.float32(1))], "gelu.above")
    product = builder.node("Mul", [hidden, above], "gelu.product")
    gelu = builder.node("Mul", [product, builder.constant("half", np.float32(0.5))], "gelu")
    value = builder.node("Add", [value, builder.linear(gelu, [2 * wide, wide], "mlp.down")], "residual2")
    value = builder.node("ReduceMean", [norm(value, "norm3")], "features", axes=[1], keepdims=0)
    shape = ["batch", 8, 8]
    value = classifier(builder, value, shape, x, digit)
    save("transformer", builder.model(shape, value, ["batch", 10]), x[:ROWS])


def pipeline():
    x, malignant = table("breast-cancer")
    steps = make_pipeline(StandardScaler(), Normalizer(), LogisticRegression(C=100, max_iter=2000))
    steps.fit(x, malignant)
    print(f"accuracy on the rows it was trained on: {steps.score(x, malignant):.3f}")
    model = to_onnx(steps, x[:1], options={"zipmap": False}, target_opset={"": OPSET, "ai.onnx.ml": 3})
    save("pipeline", model, x[:ROWS])


for make in [mlp, lenet, transformer, pipeline]:
    make()

//! Rewrites on the nodes of a file that save private work. They do not change what is computed.
//!
//! - A monotone function before a maximum pooling goes behind it, where there are fewer values: max f(x) = f(max x).
//! - Batch normalisation with known statistics goes into the weights of the convolution or Gemm before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ndarray::{Array1, ArrayD, Axis, Ix1};

use super::{
    Constant, Model, Options, Port, Weights,
    context::Val,
    node::{Attribute, Node},
};

/// The nodes to lower, and values that the rewrites have made.
pub(super) fn rewrite(model: &Model, options: &Options) -> (Vec<Node>, BTreeMap<String, Val>) {
    // Nodes that no output needs are not there: what they read would count as used.
    let mut nodes = live(&model.nodes, &model.outputs);
    let outputs: BTreeSet<&str> = model.outputs.iter().map(|p| p.name.as_str()).collect();
    let mut made = BTreeMap::new();
    if !options.training {
        fold_normalisation(model, options, &mut nodes, &outputs, &mut made);
    }
    pool_first(&mut nodes, &outputs);
    (live(&nodes, &model.outputs), made)
}

/// The nodes on which an output depends.
pub(super) fn live(nodes: &[Node], outputs: &[Port]) -> Vec<Node> {
    let mut needed: BTreeSet<&str> = outputs.iter().map(|p| p.name.as_str()).collect();
    let mut live = Vec::new();
    for node in nodes.iter().rev() {
        if node
            .outputs
            .iter()
            .any(|name| needed.contains(name.as_str()))
        {
            needed.extend(node.inputs.iter().map(String::as_str));
            live.push(node.clone());
        }
    }
    live.reverse();
    live
}

/// How often each value is used.
fn uses(nodes: &[Node], outputs: &BTreeSet<&str>) -> BTreeMap<String, usize> {
    let mut uses = BTreeMap::new();
    let named = nodes
        .iter()
        .flat_map(|node| node.inputs.iter().map(String::as_str));
    for name in named.chain(outputs.iter().copied()) {
        *uses.entry(name.to_string()).or_insert(0) += 1;
    }
    uses
}

/// The node that makes the first operand of node `at`, if nothing else uses that value.
fn only_maker(nodes: &[Node], at: usize, uses: &BTreeMap<String, usize>) -> Option<usize> {
    let x = nodes[at]
        .inputs
        .first()
        .filter(|name| uses.get(*name) == Some(&1))?;
    (0..at).find(|&k| nodes[k].outputs.first() == Some(x))
}

/// Whether the operator is a function of each entry that never falls.
fn monotone(node: &Node) -> bool {
    let slope =
        |name: &str, default: f64| node.float(name).is_ok_and(|a| a.unwrap_or(default) >= 0.0);
    node.domain.is_empty()
        && match node.op.as_str() {
            "Relu" | "Sigmoid" | "Tanh" | "Clip" | "Softplus" | "Softsign" => true,
            "LeakyRelu" => slope("alpha", 0.01),
            "Elu" | "HardSigmoid" => slope("alpha", 1.0),
            _ => false,
        }
}

fn pool_first(nodes: &mut Vec<Node>, outputs: &BTreeSet<&str>) {
    let mut at = 0;
    while at < nodes.len() {
        let pools = matches!(nodes[at].op.as_str(), "MaxPool" | "GlobalMaxPool")
            && nodes[at].domain.is_empty()
            // Of equal entries after the function another may be first than before it.
            && !nodes[at].wants(1);
        let before = if pools {
            only_maker(nodes, at, &uses(nodes, outputs)).filter(|&k| monotone(&nodes[k]))
        } else {
            None
        };
        let Some(k) = before else {
            at += 1;
            continue;
        };
        let mut function = nodes.remove(k);
        let pool = &mut nodes[at - 1];
        std::mem::swap(&mut pool.inputs[0], &mut function.inputs[0]);
        std::mem::swap(&mut pool.outputs[0], &mut function.outputs[0]);
        // The pooling read what the function made; now the function reads what the pooling makes, under that name.
        function.inputs[0].clone_from(&pool.outputs[0]);
        nodes.insert(at, function);
        // The pooling may have another function before it now.
        at -= 1;
    }
}

/// y = factor·x + shift for each channel.
struct Affine {
    factor: Array1<f64>,
    shift: Array1<f64>,
}

/// The constants of the file that are not trained.
fn constants<'m>(model: &'m Model, options: &Options) -> BTreeMap<&'m str, &'m Constant> {
    let trained =
        |name: &str| matches!(&options.weights, Weights::Trained(names) if names.contains(name));
    let given = model
        .initializers
        .iter()
        .map(|i| (i.name.as_str(), &i.value));
    let inside = model
        .nodes
        .iter()
        .filter(|node| node.op == "Constant" && node.domain.is_empty());
    let inside = inside.filter_map(|node| match node.attributes.get("value") {
        Some(Attribute::Tensor(value)) => Some((node.outputs.first()?.as_str(), value)),
        _ => None,
    });
    given
        .chain(inside)
        .filter(|(name, _)| !trained(name))
        .collect()
}

fn fold_normalisation(
    model: &Model,
    options: &Options,
    nodes: &mut Vec<Node>,
    outputs: &BTreeSet<&str>,
    made: &mut BTreeMap<String, Val>,
) {
    let known = constants(model, options);
    let mut at = 0;
    while at < nodes.len() {
        let uses = uses(nodes, outputs);
        let fold = affine(&nodes[at], &known).and_then(|affine| {
            let k = only_maker(nodes, at, &uses)?;
            Some((k, folded(&nodes[k], &affine, &known)?))
        });
        let Some((k, (weight, bias))) = fold else {
            at += 1;
            continue;
        };
        let normalisation = nodes.remove(at);
        let node = &mut nodes[k];
        let mut place = |i: usize, value: ArrayD<f64>| {
            let old = node.inputs.get(i).map_or("", |name| name);
            let name = format!("{old}·{}", normalisation.label);
            let value = Arc::new(Constant::Float(value));
            made.insert(
                name.clone(),
                Val::Known {
                    value,
                    secret: true,
                },
            );
            node.inputs
                .resize(node.inputs.len().max(i + 1), String::new());
            node.inputs[i] = name;
        };
        place(1, weight);
        place(2, bias.into_dyn());
        if node.op == "Gemm" {
            node.attributes.insert("beta".into(), Attribute::Float(1.0));
        }
        node.outputs[0].clone_from(&normalisation.outputs[0]);
    }
}

/// What a batch normalisation computes, where its parameters are known.
fn affine(node: &Node, known: &BTreeMap<&str, &Constant>) -> Option<Affine> {
    let applies = node.op == "BatchNormalization"
        && node.domain.is_empty()
        && node.int_or("training_mode", 0).ok()? == 0
        && !(1..5).any(|k| node.wants(k));
    if !applies {
        return None;
    }
    let list = |i: usize| match known.get(node.inputs.get(i)?.as_str())? {
        Constant::Float(x) => x.clone().into_dimensionality::<Ix1>().ok(),
        _ => None,
    };
    let (scale, bias, mean, variance) = (list(1)?, list(2)?, list(3)?, list(4)?);
    if [bias.len(), mean.len(), variance.len()] != [scale.len(); 3] {
        return None;
    }
    let epsilon = node.float_or("epsilon", 1e-5).ok()?;
    let factor = scale / variance.mapv(|v| (v + epsilon).sqrt());
    let shift = bias - mean * &factor;
    let finite = factor.iter().chain(&shift).all(|v| v.is_finite());
    finite.then_some(Affine { factor, shift })
}

/// Weight and bias of a linear node that computes the affine map of its result as well; `None` where it is not of a kind
/// for which that is possible.
fn folded(
    node: &Node,
    affine: &Affine,
    known: &BTreeMap<&str, &Constant>,
) -> Option<(ArrayD<f64>, Array1<f64>)> {
    let constant = |i: usize| match known.get(node.inputs.get(i)?.as_str())? {
        Constant::Float(x) => Some(x.clone()),
        _ => None,
    };
    let gemm = node.op == "Gemm";
    let (rank_fits, channel): (fn(usize) -> bool, usize) = match node.op.as_str() {
        "Conv" => (|rank| rank > 2, 0),
        "ConvTranspose" if node.int_or("group", 1).ok()? == 1 => (|rank| rank > 2, 1),
        "Gemm" => (
            |rank| rank == 2,
            usize::from(node.int_or("transB", 0).ok()? == 0),
        ),
        _ => return None,
    };
    let mut weight = constant(1)?;
    let channels = affine.factor.len();
    if !node.domain.is_empty() || !rank_fits(weight.ndim()) || weight.shape()[channel] != channels {
        return None;
    }
    for (mut part, factor) in weight.axis_iter_mut(Axis(channel)).zip(&affine.factor) {
        part *= *factor;
    }
    let mut bias = affine.shift.clone();
    if node.inputs.get(2).is_some_and(|name| !name.is_empty()) {
        let old = constant(2)?;
        let beta = if gemm {
            node.float_or("beta", 1.0).ok()?
        } else {
            1.0
        };
        let one_row = old.ndim() <= 1 || old.len() == *old.shape().last()?;
        let old = old.iter().copied().collect::<Array1<f64>>();
        let old = old.broadcast(channels).filter(|_| one_row)?;
        bias = bias + &old * &affine.factor * beta;
    }
    Some((weight, bias))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::onnx::format::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        TypeProto, ValueInfoProto, attribute_proto::AttributeType, type_proto,
    };

    fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: op.into(),
            name: format!("{op} of {}", input[0]),
            input: input.iter().map(|s| (*s).into()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    fn port(name: &str) -> ValueInfoProto {
        let tensor = type_proto::Tensor {
            elem_type: 1,
            shape: None,
        };
        ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(tensor)),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        }
    }

    fn tensor(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: 1,
            float_data: data.to_vec(),
            ..TensorProto::default()
        }
    }

    fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Model {
        let node_output = node[0].output[0].clone();
        let file = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
            graph: Some(GraphProto {
                node,
                initializer,
                input: vec![port("x")],
                output: vec![port(&node_output)],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        Model::parse(&file.encode_to_vec()).unwrap()
    }

    fn ops(nodes: &[Node]) -> Vec<&str> {
        nodes.iter().map(|n| n.op.as_str()).collect()
    }

    #[test]
    fn normalisation_goes_into_gemm() {
        let mut gemm = node("Gemm", &["x", "w", "c"], "z");
        gemm.attribute = vec![AttributeProto {
            name: "beta".into(),
            f: 2.0,
            r#type: AttributeType::Float.into(),
            ..AttributeProto::default()
        }];
        let normalisation = node("BatchNormalization", &["z", "s", "b", "m", "v"], "y");
        let w = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let weights = vec![
            tensor("w", &[3, 2], &w),
            tensor("c", &[2], &[0.5, -0.5]),
            tensor("s", &[2], &[2.0, 0.5]),
            tensor("b", &[2], &[1.0, 2.0]),
            tensor("m", &[2], &[3.0, -3.0]),
            tensor("v", &[2], &[4.0, 0.25]),
        ];
        let mut model = model(vec![gemm], weights);
        model
            .nodes
            .push(Node::decode(&normalisation, 1, 17).unwrap());
        model.outputs[0].name = "y".into();
        let (nodes, made) = rewrite(&model, &Options::default());
        assert_eq!(ops(&nodes), ["Gemm"]);
        assert_eq!(nodes[0].outputs, ["y"]);
        let training = Options {
            training: true,
            ..Options::default()
        };
        assert_eq!(
            ops(&rewrite(&model, &training).0),
            ["Gemm", "BatchNormalization"]
        );
        let trained = Options {
            weights: Weights::Trained(["w".to_string()].into()),
            training: false,
        };
        assert_eq!(
            ops(&rewrite(&model, &trained).0),
            ["Gemm", "BatchNormalization"]
        );
        // Against the definition.
        let new = |i: usize| match &made[&nodes[0].inputs[i]] {
            Val::Known {
                value,
                secret: true,
            } => value.numbers().unwrap(),
            other => panic!("{other:?}"),
        };
        let (weight, bias) = (new(1), new(2));
        let x = [1.0, -1.0, 2.0];
        for (j, (beta_c, [s, b, m, v])) in [
            (1.0, [2.0, 1.0, 3.0, 4.0f64]),
            (-1.0, [0.5, 2.0, -3.0, 0.25]),
        ]
        .into_iter()
        .enumerate()
        {
            let product = |w: &dyn Fn(usize) -> f64| (0..3).map(|i| x[i] * w(i)).sum::<f64>();
            let z = product(&|i| f64::from(w[2 * i + j])) + beta_c;
            let want = s * (z - m) / (v + f64::from(1e-5f32)).sqrt() + b;
            let got = product(&|i| weight[[i, j]]) + bias[j];
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn functions_that_never_fall_go_behind_the_pooling() {
        let chain = |last: &str| {
            vec![
                node("Relu", &["x"], "a"),
                node("Tanh", &["a"], "b"),
                node(last, &["b"], "y"),
            ]
        };
        let outputs = BTreeSet::from(["y"]);
        let decoded = |protos: &[NodeProto]| -> Vec<Node> {
            protos
                .iter()
                .enumerate()
                .map(|(k, n)| Node::decode(n, k, 17).unwrap())
                .collect()
        };
        let mut nodes = decoded(&chain("MaxPool"));
        pool_first(&mut nodes, &outputs);
        assert_eq!(ops(&nodes), ["MaxPool", "Relu", "Tanh"]);
        assert_eq!(
            (nodes[0].inputs[0].as_str(), nodes[2].outputs[0].as_str()),
            ("x", "y")
        );
        for pair in nodes.windows(2) {
            assert_eq!(pair[0].outputs, pair[1].inputs);
        }
        let mut nodes = decoded(&chain("AveragePool"));
        pool_first(&mut nodes, &outputs);
        assert_eq!(ops(&nodes), ["Relu", "Tanh", "AveragePool"]);
        // A value that something else uses stays.
        let mut protos = chain("MaxPool");
        protos.push(node("Neg", &["b"], "other"));
        let mut nodes = decoded(&protos);
        pool_first(&mut nodes, &BTreeSet::from(["y", "other"]));
        assert_eq!(ops(&nodes), ["Relu", "Tanh", "MaxPool", "Neg"]);
    }
}

//! Model files of a few nodes, written field by field as the format's protocol buffers say.

/// An axis of an input: free, or of this length.
#[derive(Clone, Copy)]
pub(super) enum Axis {
    Free,
    Of(u64),
}

/// A tensor that the file brings.
pub(super) enum Constant<'a> {
    Floats(&'a [u64], Vec<f32>),
    Integers(Vec<i64>),
}

/// A node: operator, inputs, output, attributes of one integer.
pub(super) type Node<'a> = (&'a str, &'a [&'a str], &'a str, &'a [(&'a str, i64)]);

fn varint(mut x: u64, out: &mut Vec<u8>) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

fn number(field: u64, x: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(x, &mut out);
    out
}

fn bytes(field: u64, x: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(x.len() as u64, &mut out);
    out.extend_from_slice(x);
    out
}

fn port(name: &str, element: u64, shape: &[Axis]) -> Vec<u8> {
    let axis = |axis: &Axis| match axis {
        Axis::Free => bytes(1, &bytes(2, b"rows")),
        Axis::Of(n) => bytes(1, &number(1, *n)),
    };
    let shape: Vec<u8> = shape.iter().flat_map(axis).collect();
    let tensor = [number(1, element), bytes(2, &shape)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

fn constant(name: &str, value: &Constant<'_>) -> Vec<u8> {
    let (shape, kind, raw): (Vec<u64>, u64, Vec<u8>) = match value {
        Constant::Floats(shape, values) => {
            let raw = values.iter().flat_map(|v| v.to_le_bytes());
            (shape.to_vec(), 1, raw.collect())
        }
        Constant::Integers(values) => {
            let raw = values.iter().flat_map(|v| v.to_le_bytes());
            (vec![values.len() as u64], 7, raw.collect())
        }
    };
    let dims: Vec<u8> = shape.iter().flat_map(|&d| number(1, d)).collect();
    let name = bytes(8, name.as_bytes());
    [dims, number(2, kind), name, bytes(9, &raw)].concat()
}

/// A model from input x to output y, both real.
pub(super) fn model(
    x: &[Axis],
    y: &[Axis],
    constants: &[(&str, Constant<'_>)],
    nodes: &[Node<'_>],
) -> Vec<u8> {
    model_of(1, x, y, constants, nodes)
}

/// The same with an input of another kind of numbers, by its code in the format.
pub(super) fn model_of(
    element: u64,
    x: &[Axis],
    y: &[Axis],
    constants: &[(&str, Constant<'_>)],
    nodes: &[Node<'_>],
) -> Vec<u8> {
    let node = |&(op, inputs, output, attributes): &Node<'_>| {
        let mut node: Vec<u8> = inputs.iter().flat_map(|i| bytes(1, i.as_bytes())).collect();
        node.extend(bytes(2, output.as_bytes()));
        node.extend(bytes(4, op.as_bytes()));
        for &(name, value) in attributes {
            let value = [number(3, value as u64), number(20, 2)].concat();
            node.extend(bytes(5, &[bytes(1, name.as_bytes()), value].concat()));
        }
        bytes(1, &node)
    };
    let mut graph: Vec<u8> = nodes.iter().flat_map(node).collect();
    graph.extend(bytes(2, b"test"));
    for (name, value) in constants {
        graph.extend(bytes(5, &constant(name, value)));
    }
    graph.extend(bytes(11, &port("x", element, x)));
    graph.extend(bytes(12, &port("y", 1, y)));
    [number(1, 8), bytes(7, &graph), bytes(8, &number(2, 17))].concat()
}

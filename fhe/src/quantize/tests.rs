mod ciphertexts;
mod programs;
mod reading;
mod refused;

use std::fs;

use ndarray::{Array2, ArrayD, IxDyn};
use tacit_nn::layers::{conv, max_pool, pool, window::Window};
use tacit_nn::onnx::{self, Element, Lowered, Model, Output, Value};
use tacit_nn::{Edge, Graph};

use super::*;

/// A model of the examples.
fn example(name: &str) -> Model {
    let path = format!(
        "{}/../examples/models/{name}.onnx",
        env!("CARGO_MANIFEST_DIR")
    );
    Model::parse(&fs::read(path).unwrap()).unwrap()
}

/// The digits, as rows and classes.
fn digits() -> (Array2<f32>, Vec<usize>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/digits.csv");
    let text = fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<f32>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|x| x.parse().unwrap()).collect())
        .collect();
    let x = Array2::from_shape_fn((rows.len(), 64), |(r, c)| rows[r][c]);
    (x, rows.iter().map(|row| row[64] as usize).collect())
}

/// A network that is written word by word, with weights at random.
struct Net {
    g: Graph,
    seed: u64,
}

impl Net {
    /// Of one input of a shape.
    fn new(shape: &[usize]) -> (Self, Edge) {
        let mut g = Graph::new();
        let x = g.input(shape);
        (Self { g, seed: 1 }, x)
    }

    /// From -1 to 1.
    fn random(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 33) as f64 / 2f64.powi(30) - 1.0
    }

    fn weights(&mut self, shape: &[usize]) -> Edge {
        let inputs: usize = shape.iter().skip(1).product();
        let by = (inputs.max(1) as f64).sqrt().recip() * 1.7;
        let x = ArrayD::from_shape_simple_fn(IxDyn(shape), || by * self.random());
        self.g.public(x)
    }

    fn dense(&mut self, x: Edge, outputs: usize) -> Edge {
        let inputs = self.g.shape(x).unwrap()[1];
        let w = self.weights(&[outputs, inputs]);
        let w = self.g.transpose(w).unwrap();
        let bias = self.weights(&[outputs]);
        let y = self.g.matmul(x, w).unwrap();
        self.g.add(y, bias).unwrap()
    }

    fn conv(&mut self, x: Edge, outputs: usize, kernel: usize) -> Edge {
        let inputs = self.g.shape(x).unwrap()[1];
        let w = self.weights(&[outputs, inputs, kernel, kernel]);
        let bias = self.weights(&[outputs]);
        let mut window = Window::new(&[kernel, kernel]);
        window.padding = tacit_nn::layers::window::Padding::SameUpper;
        conv::conv(&mut self.g, x, w, Some(bias), &window, 1).unwrap()
    }

    fn norm(&mut self, x: Edge) -> Edge {
        let channels = self.g.shape(x).unwrap()[1];
        let [scale, shift, mean] = [(); 3].map(|()| self.weights(&[channels]));
        let variance =
            ArrayD::from_shape_simple_fn(IxDyn(&[channels]), || 0.5 + self.random().abs());
        let root = self.g.public(variance.mapv(|v| v.sqrt().recip()));
        let scale = self.g.mul(scale, root).unwrap();
        let ones = self.g.public(ArrayD::ones(IxDyn(&[channels])));
        let scale = self.g.add(scale, ones).unwrap();
        let moved = self.g.reshape(mean, &[channels, 1, 1]).unwrap();
        let scale = self.g.reshape(scale, &[channels, 1, 1]).unwrap();
        let shift = self.g.reshape(shift, &[channels, 1, 1]).unwrap();
        let y = self.g.sub(x, moved).unwrap();
        let y = self.g.mul(y, scale).unwrap();
        self.g.add(y, shift).unwrap()
    }

    fn max_pool(&mut self, x: Edge, kernel: usize, stride: usize) -> Edge {
        let mut window = Window::new(&[kernel, kernel]);
        window.stride = vec![stride, stride];
        max_pool::max_pool(&mut self.g, x, &window).unwrap()
    }

    fn average_pool(&mut self, x: Edge) -> Edge {
        let mut window = Window::new(&[2, 2]);
        window.stride = vec![2, 2];
        pool::average_pool(&mut self.g, x, &window, false).unwrap()
    }

    fn flat(&mut self, x: Edge) -> Edge {
        let count = self.g.shape(x).unwrap().iter().product();
        self.g.reshape(x, &[1, count]).unwrap()
    }

    /// As a model that was lowered.
    fn lowered(mut self, y: Edge) -> Lowered {
        self.g.output(y);
        let output = Output {
            name: "y".into(),
            element: Element::Float,
            shape: self.g.shape(y).unwrap().to_vec(),
            value: Value::Edge(0),
            words: None,
        };
        Lowered {
            graph: self.g,
            sources: vec![onnx::Source::Input(0)],
            outputs: vec![output],
            updates: Vec::new(),
        }
    }

    fn source(self, y: Edge) -> Result<Source, QuantizeError> {
        Source::of(self.lowered(y))
    }
}

/// Rows from 0 to 1, each with something of its neighbours.
fn rows(count: usize, width: usize) -> Array2<f32> {
    let mut seed = 5_u64;
    let mut last = 0.0;
    Array2::from_shape_simple_fn((count, width), || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        last = 0.5 * last + 0.5 * ((seed >> 33) as f32 / 2f32.powi(31));
        last
    })
}

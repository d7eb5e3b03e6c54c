//! What is refused, and what is said.

use super::*;

fn said(refused: Result<Source, QuantizeError>) -> String {
    refused.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn nodes_that_ciphertexts_cannot_do_are_named() {
    let (mut net, x) = Net::new(&[1, 4]);
    let (a, b) = (net.dense(x, 3), net.dense(x, 3));
    net.g.set_origin("Mul gate");
    let y = net.g.mul(a, b).unwrap();
    let said_of = said(net.source(y));
    assert!(
        said_of.contains("Mul gate") && said_of.contains("two encrypted"),
        "{said_of}"
    );

    let (mut net, x) = Net::new(&[1, 4]);
    let a = net.dense(x, 3);
    net.g.set_origin("Softmax attention");
    let a = net.g.softmax(a, 1).unwrap();
    net.g.set_origin("MatMul last");
    let y = net.dense(a, 3);
    let said_of = said(net.source(y));
    assert!(said_of.contains("Softmax attention"), "{said_of}");

    let said_of = said(Source::new(&example("transformer"), &[8, 8]));
    assert!(
        said_of.contains("cannot be computed on ciphertexts"),
        "{said_of}"
    );
}

#[test]
fn other_than_one_input_and_one_output_is_refused() {
    let mut net = Net::new(&[1, 4]).0;
    let x = net.g.input(&[1, 4]);
    assert!(matches!(net.source(x), Err(QuantizeError::Inputs(2))));
    let (mut net, x) = Net::new(&[1, 4]);
    let y = net.dense(x, 2);
    let mut lowered = net.lowered(y);
    let second = lowered.outputs[0].clone();
    lowered.outputs.push(second);
    assert!(matches!(
        Source::of(lowered),
        Err(QuantizeError::Outputs(2))
    ));
    let mut net = Net::new(&[1, 4]).0;
    let constant = net.weights(&[1, 3]);
    assert!(said(net.source(constant)).contains("does not depend on the input"));
}

fn request<'a>(
    sample: &'a Array2<f32>,
    labels: Option<&'a [usize]>,
    target: Target,
) -> Request<'a> {
    Request {
        sample,
        labels,
        target,
        name: "",
        class: false,
    }
}

#[test]
fn samples_that_are_none_are_refused() {
    let (mut net, x) = Net::new(&[1, 4]);
    let a = net.dense(x, 3);
    let a = net.g.relu(a).unwrap();
    let y = net.dense(a, 2);
    let source = net.source(y).unwrap();
    let agreement = Target::Agreement(0.9);
    let refused = |sample: &Array2<f32>, labels: Option<&[usize]>, target| {
        source
            .quantize(&request(sample, labels, target))
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&rows(3, 4), None, agreement).contains("3 rows"));
    assert!(refused(&rows(0, 4), None, agreement).contains("0 rows"));
    assert!(refused(&rows(40, 5), None, agreement).contains("5 numbers"));
    assert!(refused(&rows(40, 4), Some(&[1, 0]), agreement).contains("2 labels"));
    assert!(refused(&rows(40, 4), None, Target::Accuracy(0.9)).contains("no labels"));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut sample = rows(40, 4);
        sample[[7, 2]] = bad;
        assert!(refused(&sample, None, agreement).contains("row 3, column 2"));
    }
    // Numbers so large that the network overflows.
    let huge = Array2::from_elem((40, 4), f32::MAX);
    let program = source.quantize(&request(&huge, None, agreement));
    assert!(program.is_ok() || program.is_err(), "but no panic");
}

#[test]
fn a_target_that_is_not_reached_says_what_was() {
    let (mut net, x) = Net::new(&[1, 4]);
    let y = net.dense(x, 2);
    let source = net.source(y).unwrap();
    let labels = [0; 40];
    let said_of = source
        .quantize(&request(&rows(40, 4), Some(&labels), Target::Accuracy(1.1)))
        .unwrap_err()
        .to_string();
    assert!(
        said_of.contains("accuracy") && said_of.contains('%'),
        "{said_of}"
    );
}

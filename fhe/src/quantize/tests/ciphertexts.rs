//! On ciphertexts a program says what it says in the clear, with small parameters.

use super::*;
use crate::{Client, ClientKey, EvaluationKey, Model, Params, Run, ServerKey};

#[test]
fn quantised_programs_are_exact_on_ciphertexts() {
    let (mut net, x) = Net::new(&[1, 1, 4, 4]);
    let a = net.conv(x, 2, 3);
    let a = net.max_pool(a, 2, 2);
    let a = net.g.relu(a).unwrap();
    let a = net.flat(a);
    let y = net.dense(a, 3);
    let source = net.source(y).unwrap();
    let sample = rows(200, 16);
    // Sums of five bits, and of eight that go into sixteen bins.
    for (reach, bins, activation) in [(31, 32, 3), (255, 16, 3)] {
        let layer = Layer {
            reach,
            bins,
            activation,
        };
        let plan = Plan {
            input: 3,
            layers: vec![layer; source.depth()],
            last: 3,
        };
        let (input, columns) = source.input(&sample, plan.input);
        let values = source.values(&sample).unwrap();
        let fitted = fit::fit(&source.network, &values, columns, &plan).unwrap();
        let program = emit::program(&source.network, &fitted, input, "").unwrap();
        // Toys are as noisy as they are: one that is good enough is among them.
        let model = Params::toys()
            .iter()
            .find_map(|toy| Model::load(program.clone(), toy).ok());
        let model = model.expect("a toy that is good enough");
        let (client, evaluation) = ClientKey::generate(model.params()).unwrap();
        let evaluation = EvaluationKey::from_bytes(&evaluation.to_bytes()).unwrap();
        let server = ServerKey::from(&evaluation);
        let client = Client::new(client, model.interface()).unwrap();
        let max = plan.input;
        let corners = [vec![0; 16], vec![max; 16]];
        let random = rows(30, 16);
        let random = random
            .rows()
            .into_iter()
            .map(|row| program.parts().input.quantize(&row.to_vec()));
        for input in corners.into_iter().chain(random) {
            let request = client.encrypt(&input).unwrap();
            let response = model.run(&server, &request, &Run::default()).unwrap();
            assert_eq!(client.decrypt(&response).unwrap(), program.run(&input));
        }
    }
}

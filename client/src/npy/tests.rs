use ndarray::arr2;

use super::*;

/// A file as numpy 2.4 writes it.
fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00v\x00".to_vec();
    bytes.extend_from_slice(format!("{text:<117}\n").as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn complaint(bytes: &[u8]) -> String {
    decode(bytes).unwrap_err().to_string()
}

#[test]
fn files_of_numpy_are_read() {
    // numpy.save(f, numpy.array([[1, 2, 3], [4, 5, 6]], dtype=...).T)
    let transposed = arr2(&[[1, 4], [2, 5], [3, 6]]).into_dyn();
    let halves = file("<f2", "True", "(3, 2)", b"\x00<\x00@\x00B\x00D\x00E\x00F");
    assert_eq!(
        decode(&halves),
        Ok(Constant::Float(transposed.mapv(f64::from)))
    );
    let bytes: Vec<u8> = (1..=6).flat_map(|n| [0, 0, 0, n]).collect();
    let big_endian = file(">i4", "True", "(3, 2)", &bytes);
    assert_eq!(
        decode(&big_endian),
        Ok(Constant::Int(transposed.mapv(i64::from)))
    );
    assert_eq!(
        decode(&file("|b1", "False", "(2,)", &[1, 0])),
        Ok(Constant::Bool(ndarray::arr1(&[true, false]).into_dyn()))
    );
    assert_eq!(
        decode(&file("|i1", "False", "()", &[0xff])),
        Ok(Constant::Int(ndarray::arr0(-1).into_dyn()))
    );
    assert_eq!(
        decode(&file(
            "<U2",
            "False",
            "(2,)",
            b"a\0\0\0b\0\0\0\xe9\0\0\0\0\0\0\0"
        )),
        Ok(Constant::Text(
            ndarray::arr1(&["ab".to_owned(), "é".to_owned()]).into_dyn()
        ))
    );
    assert_eq!(
        decode(&file("<f8", "False", "(0, 3)", &[]))
            .unwrap()
            .shape(),
        [0, 3]
    );
}

#[test]
fn what_is_written_is_read_back() {
    let x = arr2(&[[0.5, -2.0, 3.0], [65504.0, 0.0, 2f64.powi(-24)]]).into_dyn();
    for bytes in [2, 4, 8] {
        let written = encode(&Constant::Float(x.clone()), Dtype::new(Kind::Float, bytes)).unwrap();
        assert_eq!((written.len() - 6 * bytes) % 64, 0);
        assert_eq!(decode(&written), Ok(Constant::Float(x.clone())));
    }
    let n = Constant::Int(arr2(&[[-1, 2], [3, i64::MIN]]).into_dyn());
    assert_eq!(
        decode(&encode(&n, Dtype::new(Kind::Signed, 8)).unwrap()),
        Ok(n)
    );
    let b = Constant::Bool(ndarray::arr0(true).into_dyn());
    assert_eq!(
        decode(&encode(&b, Dtype::new(Kind::Bool, 1)).unwrap()),
        Ok(b)
    );
    let t = Constant::Text(ndarray::arr1(&["cat".to_owned(), String::new()]).into_dyn());
    assert_eq!(
        decode(&encode(&t, Dtype::new(Kind::Text, 12)).unwrap()),
        Ok(t.clone())
    );
    assert!(encode(&t, Dtype::new(Kind::Float, 4)).is_err());
}

#[test]
fn every_half_is_read_back_and_others_round_to_the_nearest() {
    for bits in 0..=u16::MAX {
        let x = half(bits);
        if !x.is_nan() {
            assert_eq!(to_half(x), bits, "{x}");
        }
    }
    assert!(half(to_half(f64::NAN)).is_nan());
    assert_eq!(half(to_half(1.0 + 0.75 / 1024.0)), 1.0 + 1.0 / 1024.0);
    assert_eq!(half(to_half(65519.9)), 65504.0);
    assert_eq!(half(to_half(-65520.0)), f64::NEG_INFINITY);
}

#[test]
fn sizes_are_compared_before_anything_is_allocated() {
    let huge = file("<f4", "False", "(4000000000, 4000000000, 3)", &[0; 8]);
    assert!(complaint(&huge).contains("more than 2^64 bytes of data, 8 are there"));
    let short = file("<f4", "False", "(1000000000000,)", &[0; 8]);
    assert!(complaint(&short).contains("4000000000000 bytes"));
    assert!(complaint(&file("<f4", "False", "(1,)", &[0; 8])).contains("announces 4"));
    assert!(decode(&file("<U0", "False", "(1000000000000000,)", &[])).is_err());
}

#[test]
fn garbage_is_refused_with_a_reason() {
    assert!(complaint(b"").contains("no .npy file"));
    assert!(complaint(b"\x93NUMPY\x01\x00\xff\x01").contains("ends within its header"));
    assert!(complaint(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("4294967295"));
    assert!(complaint(b"\x93NUMPY\x09\x00").contains("version 9"));
    for (descr, reason) in [
        ("<c16", "<c16"),
        ("|O", "|O"),
        ("é", "é"),
        ("", "\"\""),
        ("<i3", "<i3"),
    ] {
        assert!(
            complaint(&file(descr, "False", "()", &[])).contains(reason),
            "{descr}"
        );
    }
    assert!(complaint(&file("<f4", "Maybe", "()", &[])).contains("neither True nor False"));
    assert!(complaint(&file("<f4", "False", "(-1,)", &[])).contains("a length"));
    assert!(complaint(&file("<f4", "False", "3", &[])).contains("'(' is missing"));
    let deep = file("<f4", "False", &"(".repeat(40), &[]);
    assert!(complaint(&deep).contains("does not parse"));
    let valid = file("<f4", "False", "(2, 3)", &[0; 24]);
    for end in 0..valid.len() {
        assert!(decode(&valid[..end]).is_err(), "{end}");
    }
    let large = file("<u8", "False", "(1,)", &[0xff; 8]);
    assert!(complaint(&large).contains("2^63"));
}

#[test]
fn archives_keep_names_and_order() {
    let (x, n) = (
        Constant::Float(ndarray::arr1(&[1.5, 2.5]).into_dyn()),
        Constant::Int(ndarray::arr1(&[7]).into_dyn()),
    );
    let (float, int) = (Dtype::new(Kind::Float, 4), Dtype::new(Kind::Signed, 8));
    let packed = pack(&[("/fc/out:0", &x, float), ("label", &n, int)]).unwrap();
    assert!(is_archive(&packed));
    assert_eq!(
        read(&packed),
        Ok(vec![
            (Some("/fc/out:0".into()), x.clone()),
            (Some("label".into()), n)
        ])
    );
    assert!(pack(&[("a", &x, float), ("a", &x, float)]).is_err());
    for end in [4, 30, packed.len() / 2, packed.len() - 1] {
        let error = read(&packed[..end]).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{end}: {error}");
    }
    assert!(names_archive(Path::new("all.NPZ")) && !names_archive(Path::new("npz")));
}

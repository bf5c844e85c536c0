//! What stands behind a key: `:A:TXT` in every form, and texts with all that a template can hold.

use super::dice::Dice;

/// Values of all forms, with the blanks or the lack of them before.
const FORMS: [&[u8]; 64] = [
    b" :3",
    b" :3:",
    b" :3:t",
    b" :4:t",
    b" :3:u",
    b":3",
    b":5:t",
    b":6:",
    b"\t:127.0.0.9:nine",
    b" :127.0.1.4:full",
    b" :127.2:x",
    b" :10.1.5:x",
    b" :10.1:x",
    b" :0.0.0.5:x",
    b" :255:x",
    b" :255.255.255.255:x",
    b" :007:x",
    b" :5:# c",
    b" :3:with:colons",
    b" :3\t:t",
    b" :5 :x",
    b" :5 : x",
    b" :5:\tx",
    b" :5:  ",
    b" :5 ",
    b" :2",
    b" :2:",
    b" :127.0.0.2:",
    b" :2:t",
    b" :0:x",
    b" :0.0.0.0:x",
    b" :0.0:x",
    b" :00:x",
    b" ::x",
    b" ::",
    b" :256:x",
    b" :1.2.3.4.5:x",
    b" : 5 :x",
    b" : x",
    b" :x:y",
    b" :5 # c",
    b" :5#c",
    b" :5;x",
    b" :9 junk",
    b" :1/8:x",
    b" :1.2.3.4/32:x",
    b" :127.0.0.2.:x",
    b" :",
    b" : ",
    b" :-1:x",
    b" :0x7f:x",
    b" :300.1:x",
    b" :1..2:x",
    b" :1.2.3.:x",
    b" :1-2:x",
    b" :99999999999:x",
    b" :5x:y",
    b" :\t5:x",
    b" # c",
    b"#c",
    b" ;c",
    b";c",
    b" #",
    b" :5::x",
];
/// Parts of texts.
const PARTS: [&[u8]; 34] = [
    b"listed",
    b"see",
    b"http://x/?",
    b"$",
    b"$",
    b"$",
    b"$$",
    b"$$$",
    b"$1",
    b"$2",
    b"$9",
    b"$0",
    b"$10",
    b"$=",
    b"$a",
    b"$ ",
    b"=",
    b"#",
    b" # no comment",
    b";",
    b":",
    b" ",
    b"  ",
    b"\t",
    b"\"quoted\"",
    b"\\",
    b"\\036",
    b"\xc3\xa4",
    b"\xff\x80",
    b"\x01",
    b"\x7f",
    b"%s",
    b"{}",
    b"!",
];

/// A text of chance.
pub fn text(dice: &mut Dice) -> Vec<u8> {
    let mut text = Vec::new();
    if dice.once_in(12) {
        text.push(b'=');
    }
    for _ in 0..dice.of(&[1, 1, 2, 3, 4, 6]) {
        text.extend(dice.pick(&PARTS));
    }
    if dice.once_in(25) {
        // Templates in the part that one of the two cuts off would not be prefixes of each other.
        text.truncate(100);
        let len = dice.of(&[200, 230, 252, 253, 254, 255, 256, 257, 300, 510, 1019, 1020, 1021, 1500]);
        text.resize(len.max(text.len()), b'l');
    }
    text
}

/// What stands behind a key, the blanks before it included.
pub fn value(dice: &mut Dice) -> Vec<u8> {
    match dice.below(10) {
        0..=2 => Vec::new(),
        3 | 4 => [dice.pick::<[u8]>(&[b" ", b"\t", b"  "]).to_vec(), text(dice)].concat(),
        5 | 6 => [format!(" :{}:", dice.between(1, 6)).into_bytes(), text(dice)].concat(),
        _ => dice.pick(&FORMS).to_vec(),
    }
}

# tools/prove.pl, which says in the end whether all went well: a file that was
# late beside another gets a second run, one that lost an event does not.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use File::Temp qw(tempdir);

my $folder = tempdir('esputnik-prove-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# A test file; $alone is true in it when it has the machine to itself.
sub file
{
    my ($name, $code) = @_;
    open my $out, '>', "$folder/$name.t" or die "$name.t: $!\n";
    print $out "use Test::More;\nmy \$alone = (\$ENV{TEST_SLOW} // 1) > 1;\n$code\ndone_testing();\n";
    close $out;
    return "$folder/$name.t";
}

# (exit status, the counts, what was said) of a run of these; the counts are
# passed, failed, skipped, and what is skipped has passed
sub run
{
    my ($jobs, @files) = @_;
    local $ENV{TEST_JOBS} = $jobs;
    local @ENV{qw(TEST_SLOW TEST_ASAN TEST_VALGRIND HARNESS_ACTIVE HARNESS_OPTIONS)};
    open my $from, '-|', "exec $^X @{[ root() ]}/tools/prove.pl $folder/counts @files 2>&1" or die "prove.pl: $!\n";
    my $said = do { local $/; <$from> };
    close $from;
    my $status = $? >> 8;
    open my $in, '<', "$folder/counts" or die "counts: $!\n";
    chomp(my $counts = <$in>);
    my $end = do { local $/; <$in> } // '';
    ok(index($said, $end) >= 0, 'what is written of failures is said, too');
    return ($status, $counts, $said);
}

my $good = file(good => 'pass("all is well"); SKIP: { skip "not here", 1 }');
my $late = file(late => 'pass("none lost"); ok($alone, "answered in its time");');
my $lost = file(lost => 'ok($alone, "none lost"); ok($alone, "soon");');
my $died = file(died => 'pass("one"); $alone or die "did not start\n";');
my $bad = file(bad => 'fail("stored");');

my ($status, $counts, $said) = run(2, $good);
is("$status: $counts", '0: 2 0 1', 'one that passes, with a skipped one');

($status, $counts, $said) = run(2, $good, $late, $died);
is("$status: $counts", '0: 5 0 1', 'late, or ended early, and good alone: passed');
like($said, qr/^\S+late\.t: failed beside another \(answered in its time\), passed alone$/m, 'named in the end');
like($said, qr/^\S+died\.t: failed beside another \(it ended early\), passed alone$/m, 'the other one, too');

($status, $counts, $said) = run(2, $good, $lost);
is("$status: $counts", '1: 2 2 1', 'an event was lost, and not when it ran alone: failed');
like($said, qr/^\S+lost\.t: failed .*, passed alone, which does not excuse "none lost"$/m, 'which is said');

($status, $counts, $said) = run(2, $bad, $good);
is("$status: $counts", '1: 2 1 1', 'failed alone as well');
like($said, qr/^\S+bad\.t: failed beside another \(stored\), and alone$/m, 'which is said');
like($said, qr/^\S+bad\.t said, at its end:\n(?: +.*\n)* +#   Failed test 'stored'$/m, 'and what the test said of it');

($status, $counts, $said) = run(1, $late);
is("$status: $counts", '1: 1 1 0', 'nobody beside it: late is late');

# Which names are excused.
my %excused = (
    'the reason' => 1, 'stored' => 1, 'refused at once' => 1, 'many at once' => 1, 'a wrong password: soon' => 1,
    'each in its time' => 1, 'load: 17 lost' => 0, 'duplicates 0' => 0, 'load: inversions 0' => 0,
    'none torn' => 0, 'shifted 0 lost 0' => 0, 'nothing alarming in the logs' => 0, 'each once' => 0,
    'nothing was stored' => 0, 'in order' => 0, 'no password is told' => 0, 'lost by Redis itself: 3' => 0,
);
my @names = sort keys %excused;
my @each = map { file("name$_", "ok(\$alone, '$names[$_]');") } 0 .. $#names;
($status, $counts, $said) = run(2, @each);
for my $i (0 .. $#names) {
    my ($line) = $said =~ /^(\S+name$i\.t: failed beside .*)$/m;
    is(($line // '') =~ /does not excuse/ ? 0 : 1, $excused{ $names[$i] },
       "$names[$i]: " . ($excused{ $names[$i] } ? 'may have been late' : 'must never be'));
}

# A test that dies in the middle still looks into the logs.
my $crash = file(crash => sprintf <<'END', root());
use lib '%s/t/lib';
use Esputnik::Test;
my $nginx = Esputnik::Test::nginx(module => 0);
if (!$alone) {
    open my $log, '>>', $nginx->prefix . '/error.log';
    print $log "2023/01/01 [alert] 1#1: worker process 2 exited on signal 11\n";
    close $log;
    die "no answer\n";
}
pass('alone');
END
($status, $counts, $said) = run(2, $crash, $good);
is($status, 1, 'a worker crashed, and the test died of it: failed');
like($said, qr/crash\.t: failed .*does not excuse "nothing alarming in the logs"/, 'which is said') or diag($said);

finish();

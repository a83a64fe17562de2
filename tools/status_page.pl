#!/usr/bin/perl
# Brings html/status.html into src/nginx/ngx_esputnik_status_page.cpp, with the
# policy that allows its style and its script by their hashes and nothing else.
# Run it after a change of the page; --check only tells whether it was.

use strict;
use warnings;

use Digest::SHA qw(sha256_base64);
use File::Basename qw(dirname);

my $root = dirname(__FILE__) . '/..';
my $file = "$root/src/nginx/ngx_esputnik_status_page.cpp";

sub slurp
{
    my ($name) = @_;
    open my $in, '<:raw', $name or die "$name: $!\n";
    local $/;
    return scalar <$in>;
}

# A compiler need not take a string literal of more than 64 KB, and those of
# one piece are limited too: pieces that the compiler joins.
sub literal
{
    my ($text) = @_;
    my @lines = split /^/, $text;
    my ($out, $piece) = ('', '');
    for my $line (@lines) {
        if (length($piece) + length($line) > 4000) {
            $out .= "R\"page($piece)page\"\n";
            $piece = '';
        }
        $piece .= $line;
    }
    return $out . "R\"page($piece)page\"";
}

sub hash_of
{
    my ($page, $element) = @_;
    my @found = $page =~ m{<$element>(.*?)</$element>}sg;
    die "html/status.html: one <$element> expected\n" if @found != 1;
    my $hash = sha256_base64($found[0]);
    $hash .= '=' while length($hash) % 4;
    return "'sha256-$hash'";
}

my $page = slurp("$root/html/status.html");
die "html/status.html: not ASCII\n" if $page =~ /[^\x0a\x20-\x7e]/;
die "html/status.html: )page\"\n" if $page =~ /\)page"/;

my ($style, $script) = map { hash_of($page, $_) } qw(style script);

my $text = <<"END" . literal($page) . ";\n\n} // namespace ngx_esputnik\n";
/* Written by tools/status_page.pl from html/status.html: change that. */

#include "ngx_esputnik_status_page.h"

namespace ngx_esputnik {

const std::string_view kStatusPolicy =
    "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src $style; "
    "script-src $script; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const std::string_view kStatusPage =
END

my $old = -f $file ? slurp($file) : '';
if ($old ne $text) {
    die "$file is not that of html/status.html\n" if "@ARGV" eq '--check';
    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}
